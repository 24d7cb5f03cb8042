"""The moves of one channel: messages on their way from the route's queue into the waiting queue, several at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any, NoReturn

import structlog

from worker.core.delivery_state import DeliveryState
from worker.core.errors import PublishDoubtful, PublishRefused, Unpublishable
from worker.core.json_codec import WEIGHT_OF_BYTE
from worker.core.message import Delivery, Message, memory_of
from worker.core.outcome import DeadClass, Refused
from worker.core.ports import Channel
from worker.core.settlement import Bury
from worker.core.topology import order_queue
from worker.flows.consuming.report import report
from worker.flows.consuming.runner import warn_unproven_headers
from worker.flows.consuming.settlement_executor import FIRST_PAUSE, LONGEST_PAUSE, SettlementExecutor
from worker.flows.ordered.lane_runner import RunnerDeps
from worker.flows.ordered.lanes import LaneEntry, Lanes
from worker.flows.ordered.messages import WaitingMessage, keys_of, state_in_waiting_queue
from worker.flows.ordered.read_ahead import ReadAhead
from worker.flows.waiting import race

logger = structlog.get_logger()


@dataclass(eq=False, slots=True)
class Move:
    """One message on its way. `placed`: its sequence is given. `stored`: its copy, or its dead letter, is confirmed. `done`: it is off the route's queue.

    `key`: its ordering key. `entry`: its place in the lanes; None for a message that has none, or needs none any more.
    """

    delivery: Delivery
    placed: asyncio.Event = field(default_factory=asyncio.Event)
    stored: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)
    key: str | None = None
    entry: LaneEntry[WaitingMessage] | None = None


class Sequence:
    """Numbers the messages of a route: each has a higher number than those before it."""

    def __init__(self, last: int) -> None:
        self._last = last

    def next(self) -> int:
        self._last += 1
        return self._last


class Moves:
    """Evaluates keys and confirms copies concurrently; gives sequences, and acknowledges originals, in the order of the queue.

    So after a crash the originals of the last copies may still be in the queue, and no others. The worker that moved them has started none of these copies. The
    next worker may start them at once, so it acknowledges their originals as they come. A message waits while another with its ordering key is on its way: if
    only the later one were stored, the earlier one would come after it.

    `growing` is called when the lanes grow, `ready` when a message may start.
    """

    def __init__(
        self,
        deps: RunnerDeps,
        settler: SettlementExecutor,
        lanes: Lanes[WaitingMessage],
        sequence: Sequence,
        ahead: ReadAhead,
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
        self._moves: deque[Move] = deque()
        self._some_stored = asyncio.Event()
        self._same_key: dict[str, Move] = {}
        self._begin(self._ack())

    def add(self, delivery: Delivery, *, size: int, unbegun: bool) -> None:
        """Begin to move a message. `size`: bytes of its decompressed body. `unbegun`: no worker can have begun it."""
        before = self._moves[-1] if self._moves else None
        self._moves.append(Move(delivery))
        self._begin(self._move(self._moves[-1], before, size=size, unbegun=unbegun))

    async def drop(self, delivery: Delivery) -> None:
        """Acknowledge a message that was moved before, at once: its copy may be running already. Raises `ChannelLost`."""
        self._ahead.settled(len(delivery.message.body))
        await delivery.ack()

    async def drain(self) -> None:
        """Wait until all messages are done. Raises the error of the first message that fails."""
        if self._moves:
            await race(self.wait_failed(), self._moves[-1].done.wait())

    async def wait_failed(self) -> NoReturn:
        """Wait for the first failure, and raise its error. The messages behind it are never done."""
        raise await asyncio.shield(self._failed)

    async def close(self) -> None:
        """Stop all unfinished moves: their originals stay in the queue."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not self._failed.done():
            self._failed.set_result(error)

    async def _move(self, move: Move, before: Move | None, *, size: int, unbegun: bool) -> None:
        deps, delivery = self._deps, move.delivery
        state = deps.services.codec.read(delivery)
        warn_unproven_headers(self._route.name, state)
        if unbegun:
            state = replace(state, redelivered=False)
        async with deps.services.memory.working(size, WEIGHT_OF_BYTE):
            await deps.services.memory.turn_for(delivery.message)
            keys = await keys_of(self._route, delivery, state, deps.evaluator, deps.services.clock, deps.services.memory.largest)
            if before is not None:
                await before.placed.wait()
            await self._wait_for_same_key(move, keys.order)
            entry = self._lanes.expect((self._sequence.next(), state.message_id), keys, memory_of(delivery.message), moving=True)
            move.placed.set()
            self._growing()
            move.entry = await self._stored(entry, delivery, state)
        move.stored = True
        self._some_stored.set()

    async def _wait_for_same_key(self, move: Move, key: str | None) -> None:
        if key is not None:
            move.key, earlier, self._same_key[key] = key, self._same_key.get(key), move
            if earlier is not None:
                await earlier.done.wait()

    async def _ack(self) -> None:
        """Acknowledge the stored messages, up to the first one that is not stored; then they may start."""
        while True:
            await self._some_stored.wait()
            self._some_stored.clear()
            stored = list(takewhile(lambda move: move.stored, self._moves))
            if stored:
                await self._channel.ack_through(stored[-1].delivery)
            for move in stored:
                self._moves.popleft()
                self._end(move)
            self._ready()

    def _end(self, move: Move) -> None:
        self._ahead.settled(len(move.delivery.message.body))
        if move.key is not None and self._same_key[move.key] is move:
            del self._same_key[move.key]
        if move.entry is not None:
            self._lanes.moved(move.entry)
        move.done.set()

    async def _stored(self, entry: LaneEntry[WaitingMessage], delivery: Delivery, state: DeliveryState) -> LaneEntry[WaitingMessage] | None:
        """Publish the copy, confirmed. None: the message is a dead letter instead, since it is too large, or has no room for the stamp of its place."""
        sequence, _ = entry.place
        if (refused := entry.keys.refused) is not None and len(delivery.message.body) > self._deps.services.memory.largest:
            await self._bury(entry, delivery, state, refused)
            return None
        try:
            await self._confirmed(
                self._deps.services.codec.copy(
                    delivery.message, self._route.queue, state_in_waiting_queue(delivery, state, sequence, self._deps.services.clock.now())
                )
            )
        except Unpublishable as error:
            await self._bury(entry, delivery, state, Refused(DeadClass.DECODE, f"it cannot be kept in order: {error}"))
            return None
        return entry

    async def _bury(self, entry: LaneEntry[WaitingMessage], delivery: Delivery, state: DeliveryState, refused: Refused) -> None:
        bury = Bury(refused.dead_class, refused.reason, None, state.attempts + 1, state.doubtful)
        report(self._deps.services.metrics, self._route.name, refused, await self._settler.place(delivery, state, bury), state, 0.0)
        self._lanes.forget(entry)

    async def _confirmed(self, copy: Message) -> None:
        """Publish until confirmed. A surplus copy has the same place, and counts as the same message. Raises `Unpublishable`."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._channel.publish(copy, routing_key=order_queue(self._route.queue))
            except Unpublishable:
                raise
            except (PublishDoubtful, PublishRefused) as error:
                logger.error("message.stuck", queue=order_queue(self._route.queue), reason=str(error), again_in_s=pause)
                await self._deps.services.clock.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                return
