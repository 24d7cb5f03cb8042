"""Returns copies whose delay is over to their own queues, so that a queue that is missing or full delays its own copies only."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from worker.core.errors import ChannelLost, PublishDoubtful, PublishRefused, Unpublishable, Unroutable
from worker.core.health import Health
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Channel, Clock
from worker.core.topology import HELD_BACK, HOME, RETRIES_DUE, retry_queue
from worker.flows.consuming.watchdog import stalled
from worker.flows.waiting import race

logger = structlog.get_logger()
PREFETCH = 1  # bodies in memory at once: a body may be as large as the broker accepts
LOOK_AGAIN = 1.0  # seconds between two checks whether the broker accepts publishes again
SHOWN = 3  # queues that readiness names
REMEDY = "start its route, or create the queue; if it is full, empty it or raise its limit"


async def end_of(task: asyncio.Task[None]) -> None:
    """Wait for the task without cancelling it."""
    await asyncio.shield(task)


def for_return(copy: Message, home: str) -> Message:
    """Return the copy with the name of its own queue in a header, for a retry queue.

    The header is no part of the proof, and is removed when the copy returns.
    """
    return copy.with_headers(**{HOME: home})


@dataclass(slots=True)
class HeldBack:
    """A queue that refused a copy. The worker tries no copy before `until`; after `forgotten` the trouble is over (both monotonic)."""

    reason: str
    until: float
    forgotten: float


class Returner:
    """Serves the queue of due copies on every replica. `held_back`: seconds until a copy that its queue did not take is tried again."""

    part = "retries"

    def __init__(self, clock: Clock, health: Health, *, held_back: float = HELD_BACK) -> None:
        self._clock = clock
        self._health = health
        self._held_back = held_back
        self._troubles: dict[str, HeldBack] = {}
        self._returned = 0
        self._busy = False

    async def serve(self, broker: Broker, stop: asyncio.Event) -> None:
        """Return copies until `stop`. Raises `BrokerError` when the attachment is lost, or when a copy can neither return nor wait."""
        while not stop.is_set():
            async with broker.channel(prefetch=PREFETCH, publishing=True) as channel:
                await self._serve(broker, channel, stop)

    async def _serve(self, broker: Broker, channel: Channel, stop: asyncio.Event) -> None:
        due: asyncio.Queue[Delivery] = asyncio.Queue()
        closing = asyncio.Event()
        await channel.consume(RETRIES_DUE, due.put_nowait, keep=lambda _: True)
        self._show()
        returning = asyncio.create_task(self._return_all(broker, channel, due, closing))
        watching = stalled(broker, self._clock, RETRIES_DUE, lambda: self._returned, lambda: not self._busy, self._show)
        try:
            ended = await race(channel.wait_closed(), stop.wait(), watching, end_of(returning))
            closing.set()
            await returning  # a copy that is being published is acknowledged too, or it would return twice
        finally:
            returning.cancel()
            await asyncio.gather(returning, return_exceptions=True)
        if isinstance(ended, str):
            self._health.down(self.part, f"copies do not return to their queues: {ended}")
            logger.warning("consumer.lost", route=self.part, reason=ended)

    async def _return_all(self, broker: Broker, channel: Channel, due: asyncio.Queue[Delivery], closing: asyncio.Event) -> None:
        """Return copies until `closing`, or until the channel is lost. The broker then delivers the unacknowledged copies again."""
        while not closing.is_set():
            delivery = await race(due.get(), closing.wait())
            if isinstance(delivery, bool):
                return
            while broker.blocked and not closing.is_set():  # a copy that is not confirmed in time would return twice
                await race(closing.wait(), timeout=LOOK_AGAIN)
            if closing.is_set():
                return
            self._busy = True
            try:
                await self._return(channel, delivery)
            except (ChannelLost, PublishDoubtful) as error:
                logger.warning("message.unsettled", message_id=delivery.message.message_id, reason=str(error))
                return
            finally:
                self._busy = False
            self._returned += 1

    async def _return(self, channel: Channel, delivery: Delivery) -> None:
        """Publish the copy to its queue, or into a retry queue again. Raises `BrokerError`."""
        home, copy = delivery.message.headers.get(HOME), delivery.message.with_headers(**{HOME: None})
        if not isinstance(home, str):
            await self._set_aside(delivery, "no worker put it there")
            return
        trouble = self._troubles.get(home)
        if trouble is None or trouble.until <= self._clock.monotonic():
            try:
                await channel.publish(copy, routing_key=home)
            except Unpublishable as error:
                await self._set_aside(delivery, str(error))
                return
            except (Unroutable, PublishRefused) as error:
                self._held(home, str(error))
            except PublishDoubtful as error:
                self._held(home, str(error))
                raise
            else:
                await delivery.ack()
                self._taken(home)
                return
        await channel.publish(for_return(copy, home), routing_key=retry_queue(self._held_back))
        await delivery.ack()

    async def _set_aside(self, delivery: Delivery, reason: str) -> None:
        """Have the broker put the message into the dead queue of this queue: the worker may be unable to publish it."""
        logger.error("message.dead", message_id=delivery.message.message_id, queue=RETRIES_DUE, reason=reason)
        await delivery.reject()

    def _held(self, home: str, reason: str) -> None:
        now = self._clock.monotonic()
        if home not in self._troubles:
            logger.error("retry.held_back", queue=home, reason=reason, again_in_s=self._held_back, remedy=REMEDY)
        self._troubles[home] = HeldBack(reason, now + self._held_back / 2, now + 3 * self._held_back)
        self._show()

    def _taken(self, home: str) -> None:
        if self._troubles.pop(home, None) is not None:
            logger.info("retry.returned", queue=home)
            self._show()

    def _show(self) -> None:
        """Show in readiness which queues refuse copies. A queue that refuses no further copy until `forgotten` is not shown any more."""
        now = self._clock.monotonic()
        self._troubles = {home: trouble for home, trouble in self._troubles.items() if trouble.forgotten > now}
        if not self._troubles:
            self._health.up(self.part, "returning copies to their queues")
            return
        named = [f"{home!r} ({trouble.reason})" for home, trouble in list(self._troubles.items())[:SHOWN]]
        more = f" and {len(self._troubles) - SHOWN} more" if len(self._troubles) > SHOWN else ""
        self._health.down(self.part, f"copies wait in {retry_queue(self._held_back)} for {', '.join(named)}{more}: {REMEDY}")
