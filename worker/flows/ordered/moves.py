"""The moves of one channel: messages on their way from the route's queue into the waiting queue, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import structlog

from worker.core.delivery_state import DeliveryState
from worker.core.errors import PublishDoubtful, PublishRefused, Unpublishable
from worker.core.json_codec import WEIGHT_OF_BYTE
from worker.core.message import Delivery, Message, memory_of
from worker.core.outcome import DeadClass, Refused
from worker.core.ports import Channel
from worker.core.settlement import Bury
from worker.core.topology import order_room
from worker.flows.consuming.report import report
from worker.flows.consuming.runner import tell_unproven
from worker.flows.consuming.settlement_executor import FIRST_PAUSE, LONGEST_PAUSE, SettlementExecutor
from worker.flows.ordered.ahead import Ahead
from worker.flows.ordered.lane_runner import RunnerDeps
from worker.flows.ordered.lanes import Entry, Keys, Lanes
from worker.flows.ordered.messages import WaitingMessage, keys_of, moved
from worker.flows.waiting import race

logger = structlog.get_logger()


@dataclass(frozen=True, eq=False, slots=True)
class Progress:
    """How far one message is. `placed`: its sequence is given. `done`: it is off the route's queue."""

    placed: asyncio.Event = field(default_factory=asyncio.Event)
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Sequence:
    """Numbers the messages of a route: each has a higher number than those before it."""

    def __init__(self, last: int) -> None:
        self._last = last

    def next(self) -> int:
        self._last += 1
        return self._last


class Moves:
    """Keys are evaluated and copies confirmed side by side; sequences are given, and originals acknowledged, in the order of the queue.

    So after a crash the originals of the last copies may still be in the queue, and no others. None of these copies has been started. A message waits while
    another with its ordering key is on its way: if only the later one were stored, the earlier one would come after it.

    `growing` is called when the lanes grow, `ready` when a message may start.
    """

    def __init__(
        self,
        deps: RunnerDeps,
        settler: SettlementExecutor,
        lanes: Lanes[WaitingMessage],
        sequence: Sequence,
        ahead: Ahead,
        channel: Channel,
        *,
        growing: Callable[[], None],
        ready: Callable[[], None],
    ) -> None:
        self._deps = deps
        self._route = deps.route
        self._settler = settler
        self._lanes = lanes
        self._sequence = sequence
        self._ahead = ahead
        self._channel = channel
        self._growing = growing
        self._ready = ready
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._last = Progress()
        self._last.placed.set()
        self._last.done.set()
        self._same_key: dict[str, Progress] = {}

    def add(self, delivery: Delivery, *, size: int, unbegun: bool) -> None:
        """Begin to move a message. `size`: bytes of its unpacked body. `unbegun`: no worker can have begun it."""
        before, own = self._next()
        self._begin(self._move(delivery, before, own, size=size, unbegun=unbegun))

    def drop(self, delivery: Delivery) -> None:
        """Acknowledge a message that was moved before, when those in front of it are done."""
        before, own = self._next()
        self._begin(self._finish(delivery, before, own))

    async def drain(self) -> None:
        """Wait until all messages are done. Raises what made one of them fail."""
        await race(self.wait_failed(), self._last.done.wait())

    async def wait_failed(self) -> NoReturn:
        """Raises what made one of them fail, as soon as one does. Those behind it are never done."""
        raise await asyncio.shield(self._failed)

    async def close(self) -> None:
        """Stop all that are not done: their originals stay in the queue."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _next(self) -> tuple[Progress, Progress]:
        before, self._last = self._last, Progress()
        return before, self._last

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._failed.done():
            self._failed.set_result(error)

    async def _move(self, delivery: Delivery, before: Progress, own: Progress, *, size: int, unbegun: bool) -> None:
        deps = self._deps
        state = deps.codec.read(delivery)
        tell_unproven(self._route.name, state)
        if unbegun:
            state = replace(state, redelivered=False)
        async with deps.memory.working(size, WEIGHT_OF_BYTE):
            keys = await keys_of(self._route, delivery, state, deps.evaluator, deps.clock, deps.memory.largest)
            await before.placed.wait()
            await self._wait_for_same_key(keys, own)
            entry = self._lanes.expect((self._sequence.next(), state.message_id), keys, memory_of(delivery.message), moving=True)
            own.placed.set()
            self._growing()
            stored = await self._store(entry, delivery, state)
        await self._finish(delivery, before, own)
        if keys.order is not None and self._same_key[keys.order] is own:
            del self._same_key[keys.order]
        if stored:
            self._lanes.moved(entry)
        else:
            self._lanes.forget(entry)
        self._ready()

    async def _wait_for_same_key(self, keys: Keys, own: Progress) -> None:
        if keys.order is not None:
            earlier, self._same_key[keys.order] = self._same_key.get(keys.order), own
            if earlier is not None:
                await earlier.done.wait()

    async def _finish(self, delivery: Delivery, before: Progress, own: Progress) -> None:
        await before.placed.wait()
        own.placed.set()
        await before.done.wait()
        await delivery.ack()
        self._ahead.settled(len(delivery.message.body))
        own.done.set()

    async def _store(self, entry: Entry[WaitingMessage], delivery: Delivery, state: DeliveryState) -> bool:
        """False: it is a dead letter, since there is no room for the stamp of its place."""
        sequence, _ = entry.place
        try:
            copy = self._deps.codec.copy(delivery.message, self._route.queue, moved(delivery, state, sequence, self._deps.clock.now()))
            await self._confirmed(copy)
        except Unpublishable as error:
            refused = Refused(DeadClass.DECODE, f"it cannot be kept in order: {error}")
            bury = Bury(refused.dead_class, refused.reason, None, state.attempts + 1, state.doubtful)
            report(self._deps.metrics, self._route.name, refused, await self._settler.place(delivery, state, bury), state, 0.0)
            return False
        return True

    async def _confirmed(self, copy: Message) -> None:
        """Publish until confirmed: a copy too many has the same place, and is one with it. Raises `Unpublishable`."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._channel.publish(copy, routing_key=order_room(self._route.queue))
            except Unpublishable:
                raise
            except (PublishDoubtful, PublishRefused) as error:
                logger.error("message.stuck", queue=order_room(self._route.queue), reason=str(error), again_in_s=pause)
                await self._deps.clock.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                return
