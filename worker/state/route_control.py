"""The paused routes, shared by all replicas: read from the stream `halo.control`, and changed by an operator under a lock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from worker.core.errors import BrokerError, Undecodable
from worker.core.message import Delivery, Message
from worker.core.pauses import Pause, Pauses
from worker.core.ports import Broker, Clock
from worker.core.repeats import Repeats
from worker.core.topology import CONTROL, CONTROL_LOCK, control_topology
from worker.metrics import Metrics
from worker.state.sealed import seal, unseal
from worker.state.stream_follower import SILENCE, open_stream

logger = structlog.get_logger()
RETRY = 1.0  # seconds until the next read of the stream after its channel was lost
LOCK_RETRY = 0.1
SOON = 0.1  # as `QUIET`, for a replica, which continues to read
QUIET = 0.5  # seconds without a further message that mark the end of a small stream


class RouteControl:
    """The paused routes, as far as this replica has read. It keeps them while there is no broker. `on_change`: called with the pauses before and after a change."""

    def __init__(self, clock: Clock, metrics: Metrics, on_change: Callable[[Pauses, Pauses], None] = lambda *_: None) -> None:
        self._clock = clock
        self._metrics = metrics
        self._on_change = on_change
        self._pauses = Pauses()
        self._repeats = Repeats()
        self._changed = asyncio.Event()
        self._loaded = asyncio.Event()

    @property
    def pauses(self) -> Pauses:
        return self._pauses

    def pause_of(self, route: str) -> Pause | None:
        return self._pauses.routes.get(route)

    async def wait_paused(self, route: str) -> None:
        while self.pause_of(route) is None:
            await self._changed.wait()

    async def wait_resumed(self, route: str) -> None:
        while self.pause_of(route) is not None:
            await self._changed.wait()

    async def wait_loaded(self) -> None:
        """Wait until the paused routes are known. No route may begin before."""
        await self._loaded.wait()

    async def follow(self, broker: Broker, key: bytes) -> None:
        """Read every change until the attachment is lost. It opens a lost channel again."""
        while not broker.lost:
            try:
                await ensure_control(broker, self._clock, key)
                await self._read(broker, key)
            except BrokerError as error:
                if self._repeats.due(str(error), self._clock.monotonic()):
                    logger.warning("stream.interrupted", stream=CONTROL, reason=str(error), retry_in_s=RETRY)
            await self._clock.sleep(RETRY)

    async def _read(self, broker: Broker, key: bytes) -> None:
        """Read until the channel is lost, then raise `BrokerError`."""
        if not self._loaded.is_set():
            self._apply(await newest_pauses(broker, key, quiet=SOON))
            self._loaded.set()
        async with open_stream(broker, CONTROL, "last") as reader:
            while True:
                for delivery in await reader.batch():
                    self._note(delivery, key)

    def _note(self, delivery: Delivery, key: bytes) -> None:
        if (pauses := read_pauses(delivery, key)) is not None:
            self._apply(pauses)
        else:
            self._metrics.refused_state.labels("pauses").inc()

    def _apply(self, pauses: Pauses) -> None:
        if pauses.revision > self._pauses.revision:
            before, self._pauses = self._pauses, pauses
            self._on_change(before, pauses)
            self._changed.set()
            self._changed = asyncio.Event()


def read_pauses(delivery: Delivery, key: bytes) -> Pauses | None:
    """The pauses in a message. For one that no worker and no operator wrote, log it and return None."""
    try:
        return Pauses.of(unseal(delivery.message.body, key, CONTROL))
    except Undecodable as error:
        logger.error("control.refused", offset=delivery.offset, reason=str(error))
        return None


async def change_pauses(broker: Broker, clock: Clock, key: bytes, change: Callable[[Pauses], Pauses]) -> tuple[Pauses, Pauses]:
    """Change the paused routes, and return them before and after. Operators take turns by a lock. Raises `BrokerError`."""
    await ensure_control(broker, clock, key)
    while True:
        async with broker.lock(CONTROL_LOCK) as mine:
            if mine:
                before = await newest_pauses(broker, key)
                after = change(before)
                if after is not before:
                    await broker.publish(Message(seal(after.as_object(), key, CONTROL)), routing_key=CONTROL)
                return before, after
        await clock.sleep(LOCK_RETRY)


async def newest_pauses(broker: Broker, key: bytes, quiet: float = QUIET) -> Pauses:
    """The pauses at the end of the stream; read the whole stream if its end is forged. Without a stream nothing is paused.

    `quiet`: seconds without a further message that end the read. Raises `BrokerError`.
    """
    if not await broker.queue_exists(CONTROL):
        return Pauses()
    return await read_newest(broker, key, "last", quiet) or await read_newest(broker, key, "first", quiet) or Pauses()


async def read_newest(broker: Broker, key: bytes, start: str, quiet: float) -> Pauses | None:
    """The pauses with the highest revision from `start` on; None if there are none."""
    found: list[Pauses] = []
    async with open_stream(broker, CONTROL, start) as reader:
        within = SILENCE
        while batch := await reader.batch(within):
            found += [pauses for delivery in batch if (pauses := read_pauses(delivery, key)) is not None]
            within = quiet
    return max(found, key=lambda each: each.revision, default=None)


async def ensure_control(broker: Broker, clock: Clock, key: bytes) -> None:
    """Make the stream with a first message, so that a reader need not distinguish an empty stream from a slow one. Raises `BrokerError`.

    RabbitMQ's count of a stream's messages is some seconds old, so it does not show the difference.
    """
    while not await broker.queue_exists(CONTROL):
        async with broker.lock(CONTROL_LOCK) as mine:
            if mine and not await broker.queue_exists(CONTROL):
                await broker.declare(control_topology())
                await broker.publish(Message(seal(Pauses().as_object(), key, CONTROL)), routing_key=CONTROL)
                return
        await clock.sleep(LOCK_RETRY)
