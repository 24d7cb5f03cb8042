"""Choosing letters: by id or the beginning of one, by an expression, or all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from worker.config.compiled import Condition
from worker.core.errors import ExpressionError, WorkerError
from worker.core.header_codec import HeaderCodec
from worker.core.message import Delivery, Message
from worker.core.ports import Evaluator
from worker.flows.dead.dead_queues import DeadQueue
from worker.flows.dead.letter import Letter, expression_view, letter_of
from worker.flows.dead.plan import Keep, ReplayPlan, incomplete

CANDIDATES = 10  # named in an answer


class NoSuchLetter(WorkerError):
    """No letter has this id, or several ids begin so."""


@dataclass(frozen=True, slots=True)
class Selection:
    """`ids`: whole ones or beginnings; empty: all. `where`: what must hold besides, and whether it may look `by_body`."""

    ids: tuple[str, ...] = ()
    where: Condition | None = None
    by_body: bool = True


@dataclass(frozen=True, slots=True)
class SelectedLetter:
    """A letter that was chosen. `message` only where bodies are wanted, `plan` only where something is to be done."""

    dead_queue: DeadQueue
    letter: Letter
    message: Message | None = field(default=None, repr=False)
    plan: ReplayPlan | None = None


@dataclass(slots=True)
class LetterSelector:
    """Meets every letter and keeps little of each. `keep`: how many of those chosen are kept for showing, None for all; `planner`: what would become of one.

    `evaluator`: needed where the selection has a `where`.
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
    plans: Counter[str] = field(default_factory=Counter)
    kept: Counter[Keep] = field(default_factory=Counter)
    unreadable: Counter[str] = field(default_factory=Counter)
    _candidates: dict[str, dict[str, list[SelectedLetter]]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Letters chosen."""
        return self.classes.total()

    async def offer(self, dead_queue: DeadQueue, delivery: Delivery) -> None:
        """One letter after the other, in order."""
        message = delivery.message
        letter = letter_of(dead_queue, message, self.codec, delivery.unread)
        self.ids.append(letter.id)
        beginnings = [text for text in self.selection.ids if letter.id.startswith(text)]
        if self.selection.ids and not beginnings:
            return
        wanted = await self._holds(letter, message)
        found = SelectedLetter(dead_queue, letter, message if self.bodies else None, self._plan(dead_queue, letter, message)) if wanted else None
        if not self.selection.ids and found is not None:
            self._choose(found)
        for text in beginnings:
            self._candidates.setdefault(text, {}).setdefault(letter.id, []).extend([found] if found is not None else [])

    @property
    def reads_bodies(self) -> bool:
        """Whether anything depends on what is in the letters."""
        return self.bodies or self.planner is not None or (self.selection.where is not None and self.selection.by_body)

    def _plan(self, dead_queue: DeadQueue, letter: Letter, message: Message) -> ReplayPlan | None:
        if self.planner is None:
            return None
        return incomplete(letter) or self.planner(dead_queue, letter, message)

    def finish(self) -> None:
        """When all were met: choose what was named. Raises `NoSuchLetter`."""
        named = dict.fromkeys(letter_id for text in self.selection.ids for letter_id in self._meant(text))
        for letter_id in named:
            text = next(text for text in self.selection.ids if letter_id in self._candidates.get(text, {}))
            for found in self._candidates[text][letter_id]:
                self._choose(found)

    def _meant(self, text: str) -> Iterator[str]:
        known = self._candidates.get(text, {})
        if text in known:
            yield text
        elif len(known) == 1:
            yield from known
        elif not known:
            raise NoSuchLetter(f"no letter has an id that begins with {text!r}")
        else:
            more = f" and {len(known) - CANDIDATES:,} more" if len(known) > CANDIDATES else ""
            raise NoSuchLetter(f"{len(known):,} ids begin with {text!r}: {', '.join(list(known)[:CANDIDATES])}{more}")

    async def _holds(self, letter: Letter, message: Message) -> bool:
        if self.selection.where is None:
            return True
        if self.evaluator is None:
            raise ValueError("letters are chosen by an expression, and nothing is there that evaluates it")
        if letter.unread and self.selection.by_body:
            self.unreadable[f"a body is larger than what is read: raise WORKER_MAX_MESSAGE to {letter.unread:,} bytes or more"] += 1
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
        if isinstance(found.plan, Keep):
            self.kept[found.plan] += 1
        elif found.plan is not None:
            self.plans[type(found.plan).__name__] += 1
        if self.keep is None or len(self.chosen) < self.keep:
            self.chosen.append(found)


def shortest_prefixes(ids: list[str], least: int = 8) -> dict[str, int]:
    """For each id how many characters of it are enough to name it, at least some."""
    ordered = sorted(set(ids))
    lengths = {}
    for index, letter_id in enumerate(ordered):
        neighbours = ordered[max(0, index - 1) : index] + ordered[index + 1 : index + 2]
        lengths[letter_id] = max([least, *(common(letter_id, other) + 1 for other in neighbours)])
    return lengths


def common(left: str, right: str) -> int:
    """How many characters both begin with."""
    return next((index for index, (one, other) in enumerate(zip(left, right, strict=False)) if one != other), min(len(left), len(right)))
