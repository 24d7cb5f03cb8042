"""The one loop that consumes: it takes deliveries, runs a handler for each, and settles its own deliveries, in the outermost frame."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from worker.core.message import Delivery
from worker.core.ports import Broker, Channel
from worker.flows.consuming.answering import Answer, no_answer
from worker.flows.consuming.arrivals import Arrivals
from worker.flows.consuming.availability import Availability
from worker.flows.consuming.memory import Share
from worker.flows.consuming.plain_job import ChannelSession, PlainJob
from worker.flows.consuming.runner import Handler, warn_unproven_headers
from worker.flows.consuming.services import ConsumerServices
from worker.flows.consuming.settlement_executor import ReadinessProblem, SettlementExecutor
from worker.flows.consuming.watchdog import stalled
from worker.flows.waiting import race

logger = structlog.get_logger()
ACKS_UNDER_WAY = 0.1  # seconds within which the messages arrive for which earlier acks made room


@dataclass(frozen=True, slots=True)
class Consumption:
    """The queue of one consumer. The prefetch is the concurrency, so at most that many messages are ever in doubt."""

    route: str
    queue: str
    prefetch: int
    delays: tuple[float, ...]
    part: str
    declared: bool = True
    """Whether the worker declared the queue: it then knows that the queue has a dead-letter target."""


class Consumer:
    """Consumes one queue, through one channel after the other. Handlers live in `tasks` and outlive their channels."""

    def __init__(
        self,
        consumption: Consumption,
        handler: Handler,
        needs: Availability,
        services: ConsumerServices,
        answer: Answer = no_answer,
    ) -> None:
        self._what = consumption
        self._handler = handler
        self._needs = needs
        self._services = services
        self._bodyless = services.bodyless(consumption.route, consumption.part, rejectable=consumption.declared)
        self._runner = services.runner(consumption.route, answer)
        self._sessions = 0
        self._arrivals = 0
        self._stalled = False
        self._settling: dict[asyncio.Task[None], ChannelSession] = {}

    async def serve(self, broker: Broker, stop: asyncio.Event) -> None:
        """Consume until `stop`, then finish the messages in flight. Raises `BrokerError` when the attachment is lost."""
        while not stop.is_set():
            if not self._needs.available:
                self._services.health.up(self._what.part, "not consuming while its Halo client is down")
                await race(self._needs.wait_available(), stop.wait(), broker.wait_lost())
                if not self._needs.available:
                    return
            async with broker.channel(prefetch=self._what.prefetch) as channel:
                await self._consume(broker, channel, stop)

    async def _consume(self, broker: Broker, channel: Channel, stop: asyncio.Event) -> None:
        self._sessions += 1
        settler = SettlementExecutor(
            self._what.route,
            self._what.queue,
            self._what.delays,
            broker,
            self._services.codec,
            self._services.clock,
            ReadinessProblem(self._services.health, self._what.part),
        )
        session, arrivals = ChannelSession(self._sessions, settler, stop), Arrivals(self._services.memory)
        try:
            await self._consume_while_healthy(broker, channel, session, arrivals)
        finally:
            arrivals.close()

    async def _consume_while_healthy(self, broker: Broker, channel: Channel, session: ChannelSession, arrivals: Arrivals) -> None:
        tag = await channel.consume(self._what.queue, lambda delivery: self._accept(delivery, session, arrivals), keep=arrivals.keep)
        if not self._stalled:
            self._services.health.up(self._what.part, "consuming")
        consuming = self._services.metrics.consuming.labels(self._what.route)
        consuming.set(1)
        try:
            ended = await race(channel.wait_closed(), session.stop.wait(), self._needs.wait_unavailable(), self._stalls(broker, session))
        finally:
            consuming.set(0)
        if isinstance(ended, str):
            session.lost = True
            self._services.health.down(self._what.part, f"not consuming: {ended}")
            logger.warning("consumer.lost", route=self._what.route, reason=ended)
            return
        arrivals.end()
        await self._cancel(channel, tag, session)
        while self._settling:  # the channel stays open for the acks of the messages in flight
            await asyncio.wait(self._settling)

    async def _stalls(self, broker: Broker, session: ChannelSession) -> str:
        """Return why this consumer is stalled: it receives nothing although its queue holds messages.

        The consumer then opens its channel again, and counts as down until a message arrives.
        """

        def has_room() -> bool:
            return list(self._settling.values()).count(session) < self._what.prefetch

        reason = await stalled(broker, self._services.clock, self._what.queue, lambda: self._arrivals, has_room, self._clear_stall)
        self._stalled = True
        return reason

    def _clear_stall(self) -> None:
        if self._stalled:
            self._stalled = False
            self._services.health.up(self._what.part, "consuming")

    async def _cancel(self, channel: Channel, tag: str, session: ChannelSession) -> None:
        """Stop consuming while no message is acked.

        An ack during `basic.cancel` can make the broker assign this consumer a message that it never sends. The message returns when the channel closes and
        counts as delivered, so a create would be in doubt although no attempt was made.
        """
        session.may_ack.clear()
        try:
            await self._services.clock.sleep(ACKS_UNDER_WAY)
            await channel.cancel(tag)
        finally:
            session.may_ack.set()

    def _accept(self, delivery: Delivery, session: ChannelSession, arrivals: Arrivals) -> None:
        self._arrivals += 1
        self._clear_stall()
        task = self._services.tasks.create_task(self._run_delivery(delivery, session, arrivals, arrivals.share_of(delivery)))
        self._settling[task] = session
        task.add_done_callback(self._settling.pop)

    async def _run_delivery(self, delivery: Delivery, session: ChannelSession, arrivals: Arrivals, share: Share) -> None:
        """Settle the delivery, then release the memory of its body."""
        try:
            if delivery.dropped_body is None:
                state = await self._services.memory.receipts.read(delivery, self._services.codec.read(delivery))
                warn_unproven_headers(self._what.route, state)
                await self._runner.run(PlainJob(delivery, state, session, self._handler, self._services.memory, self._services.clock))
            else:
                with structlog.contextvars.bound_contextvars(route=self._what.route):
                    await self._bodyless.settle(delivery, delivery.dropped_body, arrivals)
        finally:
            share.release()
