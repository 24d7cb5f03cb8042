"""An operator's actions from the status page, through the functions that the commands use; each is logged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import groupby

import structlog

from worker.app.letters.context import LettersContext
from worker.app.letters.letter_operations import LOCKED, LetterOperation, LettersLocked, discard_operation, edit_operation, replay_operation, settle
from worker.app.pausing import change_sentence, for_known_routes
from worker.core.errors import Undecodable, WorkerError
from worker.core.json_codec import decode, encode
from worker.core.pauses import MAX_TEXT, Pause, Pauses
from worker.core.ports import Broker, Clock
from worker.flows.dead import operations
from worker.flows.dead.operations import SettlementTally
from worker.flows.dead.plan import Verdict
from worker.state.route_control import change_pauses
from worker.web.page.model import LetterRow

logger = structlog.get_logger()
RESULTS = {"filtered": "left out by the route's `when`", "done": "taken as done"}


class CannotAct(WorkerError):
    """The action cannot be done as it was asked for."""


class Operator:
    """`context`: returns the dead queues of a dead queue's route. `lock`: held while letters are read or settled. `stop`: set when the worker ends."""

    def __init__(
        self,
        context: Callable[[str], LettersContext],
        attached: Callable[[], Awaitable[Broker]],
        lock: asyncio.Lock,
        stop: asyncio.Event,
        clock: Clock,
    ) -> None:
        self._context = context
        self._attached = attached
        self._lock = lock
        self._stop = stop
        self._clock = clock

    async def replay(self, rows: Sequence[LetterRow], verdict: str | None, superseded: Collection[str]) -> str:
        """Replay letters, and return a sentence for each route. Raises `WorkerError`."""
        given = None if verdict is None else Verdict(verdict)
        return await self._each_route(rows, lambda context: replay_operation(context, given), superseded)

    async def discard(self, rows: Sequence[LetterRow]) -> str:
        return await self._each_route(rows, discard_operation, ())

    async def edit(self, row: LetterRow, text: str) -> str:
        """Edit one letter. `text`: the new body. Raises `CannotAct` if it is not JSON, `WorkerError`."""
        try:
            body = encode(decode(text.encode()))
        except Undecodable as error:
            raise CannotAct(f"nothing was changed: the new body is not JSON: {error}") from None
        context = self._context(row.queue)
        dead_queue = next((each for each in context.dead_queues if each.name == row.queue), None)
        if dead_queue is None:
            raise CannotAct("nothing was changed: no route has this dead queue any more")
        return await self._settled(context, edit_operation(context, dead_queue, body), [row], ())

    async def pause(self, route: str, reason: str, by: str, kinds: Mapping[str, str]) -> str:
        """Pause a route. `kinds`: the kinds of the known routes. Raises `UnknownRoute`, `BrokerError`."""
        made = Pause(self._clock.now(), by[:MAX_TEXT], reason[:MAX_TEXT])
        return await self._paused(route, kinds, lambda pauses, name: pauses.with_pause(name, made), paused=True)

    async def resume(self, route: str, kinds: Mapping[str, str]) -> str:
        return await self._paused(route, kinds, lambda pauses, name: pauses.without(name, self._clock.now()), paused=False)

    async def _paused(self, route: str, kinds: Mapping[str, str], change: Callable[[Pauses, str], Pauses], *, paused: bool) -> str:
        broker = await self._attached()
        before, after = await change_pauses(broker, self._clock, self._context("").codec.key, for_known_routes(route, kinds, change))
        logger.warning("operator.acted", action="pause" if paused else "resume", route=route)
        return change_sentence(route, kinds.get(route, ""), before, after, paused=paused)

    async def _each_route(self, rows: Sequence[LetterRow], work: Callable[[LettersContext], LetterOperation], superseded: Collection[str]) -> str:
        if not rows:
            raise CannotAct("nothing was changed: the letters are gone")
        sentences = []
        for _, group in groupby(sorted(rows, key=lambda row: row.route), key=lambda row: row.route):
            chosen = list(group)
            context = self._context(chosen[0].queue)
            if not context.dead_queues:
                raise CannotAct("nothing was changed: no route has this dead queue any more")
            sentences.append(await self._settled(context, work(context), chosen, superseded))
        return ". ".join(sentences)

    async def _settled(self, context: LettersContext, work: LetterOperation, rows: Sequence[LetterRow], superseded: Collection[str]) -> str:
        fingerprints: dict[str, Counter[bytes]] = {}
        for row in rows:
            fingerprints.setdefault(row.queue, Counter())[bytes.fromhex(row.key)] += 1
        broker = await self._attached()
        async with (
            self._lock,
            context.evaluator() as evaluator,
            operations.exclusive_access(broker, self._clock, context.dead_queues) as exclusive,
        ):
            if not exclusive:
                raise LettersLocked(LOCKED)
            tally, error = await settle(context, broker, evaluator, work, fingerprints, superseded, self._stop)
        logger.warning("operator.acted", action=work.verb, route=context.route, letters=tally.removed.total(), left=tally.kept.total() + tally.missing)
        return f"{context.route}: {outcome(tally, error)}"


def outcome(tally: SettlementTally, error: str) -> str:
    parts = [f"{letters(count)} {RESULTS.get(result, result)}" for result, count in tally.removed.items()]
    parts += [f"{letters(count)} left: {keep.reason}" for keep, count in tally.kept.most_common()]
    if tally.missing:
        parts.append(f"{letters(tally.missing)} no longer in the queue")
    if tally.stopped:
        parts.append("stopped, since the worker ends; the other letters are where they were")
    if error:
        parts.append(f"interrupted: {error}; the other letters are where they were, and possibly the last one too")
    return "; ".join(parts) or "nothing to do"


def letters(count: int) -> str:
    return f"{count:,} letter{'' if count == 1 else 's'}"
