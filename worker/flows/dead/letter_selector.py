"""Selects letters by id, by the beginning of an id, by an expression, or all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from os.path import commonprefix

from worker.config.compiled import Condition
from worker.core.errors import ExpressionError, WorkerError
from worker.core.header_codec import HeaderCodec
from worker.core.message import Delivery, Message
from worker.core.ports import Evaluator
from worker.flows.dead.letter import DeadQueue, Letter, expression_view, letter_of
from worker.flows.dead.plan import MarkDone, ReplayPlan, Retain, incomplete_letter

CANDIDATES = 10  # ids that an error names


class NoSuchLetter(WorkerError):
    """No letter has this id, or the text is the beginning of several ids."""


@dataclass(frozen=True, slots=True)
class Selection:
    """`ids`: whole ids or beginnings of ids; empty for all. `where`: a further condition; `by_body`: whether that may read bodies."""

    ids: tuple[str, ...] = ()
    where: Condition | None = None
    by_body: bool = True


@dataclass(frozen=True, slots=True)
class SelectedLetter:
    """A selected letter. `message`: present if bodies are kept. `plan`: present if a planner decides."""

    dead_queue: DeadQueue
    letter: Letter
    message: Message | None = field(default=None, repr=False)
    plan: ReplayPlan | None = None


@dataclass(slots=True)
class LetterSelector:
    """Reads every letter and keeps little of each. `keep`: how many selected letters stay for display, None for all; `planner`: what a replay would do.

    `evaluator`: required if the selection has a `where`.
    """

    selection: Selection
    now: float
    codec: HeaderCodec
    keep: int | None = None
    bodies: bool = False
    planner: Callable[[DeadQueue, Letter, Message], ReplayPlan] | None = None
    evaluator: Evaluator | None = None
    ids: list[str] = field(default_factory=list)
    chosen: list[SelectedLetter] = field(default_factory=list)
    classes: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    fingerprints: dict[str, Counter[bytes]] = field(default_factory=dict)
    done: int = 0
    """Selected letters that a replay marks as done."""
    kept: Counter[Retain] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    superseded: set[str] = field(default_factory=set)
    """Fingerprints of the letters whose edits are in the queue."""
    _candidates: dict[str, dict[str, list[SelectedLetter]]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Selected letters."""
        return self.classes.total()

    @property
    def reads_bodies(self) -> bool:
        """Whether the result depends on bodies."""
        return self.bodies or self.planner is not None or (self.selection.where is not None and self.selection.by_body)

    async def offer(self, dead_queue: DeadQueue, delivery: Delivery) -> None:
        """Read one letter; call it for all letters in queue order."""
        message = delivery.message
        letter = letter_of(dead_queue, message, self.codec, delivery.dropped_body)
        self.ids.append(letter.id)
        if letter.state.edited:
            self.superseded.add(letter.state.edited)
        prefixes = [text for text in self.selection.ids if letter.id.startswith(text)]
        if self.selection.ids and not prefixes:
            return
        found: list[SelectedLetter] = []
        if await self._matches(letter, message):
            plan = None if self.planner is None else incomplete_letter(letter) or self.planner(dead_queue, letter, message)
            found = [SelectedLetter(dead_queue, letter, message if self.bodies else None, plan)]
        for text in prefixes:
            self._candidates.setdefault(text, {}).setdefault(letter.id, []).extend(found)
        if not self.selection.ids:
            for each in found:
                self._choose(each)

    def finish(self) -> None:
        """Select the named letters, after the last `offer`. Raises `NoSuchLetter`."""
        named = dict.fromkeys(letter_id for text in self.selection.ids for letter_id in self._resolve(text))
        for letter_id in named:
            text = next(text for text in self.selection.ids if letter_id in self._candidates.get(text, {}))
            for found in self._candidates[text][letter_id]:
                self._choose(found)

    def _resolve(self, text: str) -> Iterator[str]:
        known = self._candidates.get(text, {})
        if text in known:
            yield text
        elif len(known) == 1:
            yield from known
        elif not known:
            raise NoSuchLetter(f"no letter has an id that begins with {text!r}: `halo-worker dead list` shows the ids, `halo-worker trace ID` that of a run")
        else:
            more = f" and {len(known) - CANDIDATES:,} more" if len(known) > CANDIDATES else ""
            raise NoSuchLetter(f"{len(known):,} ids begin with {text!r}: {', '.join(list(known)[:CANDIDATES])}{more}")

    async def _matches(self, letter: Letter, message: Message) -> bool:
        if self.selection.where is None:
            return True
        if self.evaluator is None:
            raise ValueError("a selection with an expression needs an evaluator")
        if letter.unread and self.selection.by_body:
            self.unreadable[f"a body is larger than the limit: raise WORKER_MAX_MESSAGE to {letter.unread:,} bytes or more"] += 1
            return False
        try:
            return await self.selection.where.holds(expression_view(letter, message, self.now), {}, self.evaluator)
        except ExpressionError as error:
            self.unreadable[str(error)] += 1
            return False

    def _choose(self, found: SelectedLetter) -> None:
        letter = found.letter
        self.classes[str(letter.dead_class)] += 1
        self.replayed += letter.replays > 0
        self.fingerprints.setdefault(found.dead_queue.name, Counter())[letter.fingerprint] += 1
        if isinstance(found.plan, Retain):
            self.kept[found.plan] += 1
        self.done += isinstance(found.plan, MarkDone)
        if self.keep is None or len(self.chosen) < self.keep:
            self.chosen.append(found)


def shortest_prefixes(ids: list[str], least: int = 8) -> dict[str, int]:
    """For each id, how many of its characters identify it; at least `least`."""
    ordered = sorted(set(ids))
    shared = [len(commonprefix(pair)) for pair in pairwise(ordered)]  # noqa: RUF071 - characters, not path components
    return {letter_id: max(least, before + 1, after + 1) for letter_id, before, after in zip(ordered, [-1, *shared], [*shared, -1], strict=False)}
