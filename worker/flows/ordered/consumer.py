"""A publisher with `order_by` or `fair_by`: one replica at a time applies the route's messages, in order by key and in turns by customer, crashes included."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from worker.config.routes import Publisher
from worker.core.entropy import uniform
from worker.core.ports import Broker, Channel, Evaluator
from worker.core.topology import ORDER_MARK, Topology, order_lock, order_queue, ordered_topology
from worker.flows.consuming.answering import Answer, no_answer
from worker.flows.consuming.availability import Availability
from worker.flows.consuming.runner import Handler
from worker.flows.consuming.services import ConsumerServices
from worker.flows.ordered.intake import Intake
from worker.flows.ordered.lane_runner import LaneRunner, RunnerDeps
from worker.flows.ordered.lanes import Lanes
from worker.flows.ordered.messages import WaitingMessage
from worker.flows.ordered.waiting_queue import PREFETCH, WaitingQueue
from worker.flows.ordered.waiting_report import WaitingReport
from worker.flows.waiting import race
from worker.flows.writes.publisher import consumption_of, results_topology

logger = structlog.get_logger()
STANDBY_POLL = 1.0  # seconds between two checks for another consumer
TAKEOVER_POLL = 0.1  # seconds between two checks whether the previous consumer has gone
TAKEOVER_ALARM_AFTER = 60.0  # seconds after which a consumer that stays makes the route unready
REPORT_INTERVAL = 1.0
MAX_WAITING_BY_KEY = 10_000  # messages that wait for others
MAX_WAITING_BY_CUSTOMER = 20_000  # messages among which customers take turns


def ordered_publisher_topology(route: Publisher) -> Topology:
    return ordered_topology(route.queue, route.bind, declare=route.declare) + results_topology(route)


async def log_all_left_behind(routes: Iterable[Publisher], broker: Broker) -> None:
    """As `log_left_behind`, for all routes, if a route ever had a waiting queue: the broker closes a channel over each queue that is not there."""
    if await broker.queue_exists(ORDER_MARK):
        for route in routes:
            await log_left_behind(route, broker)


async def log_left_behind(route: Publisher, broker: Broker) -> None:
    """Log the messages that a route without `order_by` and `fair_by` left in its waiting queue: no worker takes them out. Raises `BrokerError`."""
    queue = order_queue(route.queue)
    if not route.has_waiting_queue and (waiting := await broker.queue_depth(queue)):
        reason = f"the route has neither `order_by` nor `fair_by` any more, and {queue} still holds messages: restore the key until that queue is empty"
        logger.error("order.left_behind", route=route.name, waiting=waiting, reason=reason)


class OrderedConsumer:
    """Serves one ordered route: waits for the lock, loads the waiting queue, then moves and runs messages until it must release the lock."""

    def __init__(
        self,
        route: Publisher,
        handler: Handler,
        needs: Availability,
        evaluator: Evaluator,
        services: ConsumerServices,
        answer: Answer = no_answer,
    ) -> None:
        self._route = route
        self._part = consumption_of(route).part
        self._most = MAX_WAITING_BY_KEY if route.fair_by is None else MAX_WAITING_BY_CUSTOMER
        self._each = None if route.fair_by is None else max(1, route.concurrency - 1)  # a customer whose requests hang leaves a place to the others
        self._detail = consuming_detail(route)
        self._needs = needs
        self._clock = services.clock
        self._metrics = services.metrics
        self._health = services.health
        self._deps = RunnerDeps(route, self._part, handler, needs, evaluator, services, services.runner(route.name, answer))
        self._bodyless = services.bodyless(route.name, self._part, rejectable=route.declare)
        self._session = 0

    async def serve(self, broker: Broker, stop: asyncio.Event) -> None:
        """Serve until `stop`, then finish the running messages. Raises `BrokerError` when the attachment is lost."""
        while not stop.is_set():
            if not self._needs.available:
                self._health.up(self._part, "not consuming while its Halo client is down")
                await race(self._needs.wait_available(), stop.wait(), broker.wait_lost())
                if not self._needs.available:
                    return
            if await broker.consumers(order_queue(self._route.queue)) == 0:
                async with broker.lock(order_lock(self._route.queue)) as had:
                    if had:
                        await self._serve_as_leader(broker, stop)
                        continue
            self._health.up(self._part, "standing by: another replica applies this route in order")
            await race(stop.wait(), broker.wait_lost(), timeout=STANDBY_POLL * uniform(0.5, 1.5))

    async def _serve_as_leader(self, broker: Broker, stop: asyncio.Event) -> None:
        """Apply messages in order, for as long as this replica can. Raises `BrokerError`."""
        if not await self._wait_until_only_consumer(broker, stop):
            return
        async with broker.channel(prefetch=PREFETCH, publishing=True) as channel:
            await self._keep_order(broker, channel, stop)

    async def _wait_until_only_consumer(self, broker: Broker, stop: asyncio.Event) -> bool:
        """Wait until no other consumer is left: a replica that lost its connection, or an older worker without ordering.

        False when this replica must stop first.
        """
        since = self._clock.monotonic()
        self._health.up(self._part, "taking over")
        while not stop.is_set() and self._needs.available:
            others = [queue for queue in (self._route.queue, order_queue(self._route.queue)) if await broker.consumers(queue)]
            if not others:
                return True
            if self._clock.monotonic() - since > TAKEOVER_ALARM_AFTER:
                self._health.down(self._part, f"another consumer is still on {' and '.join(others)}: the order cannot be kept; stop that consumer")
            await race(stop.wait(), timeout=TAKEOVER_POLL)
        return False

    async def _keep_order(self, broker: Broker, channel: Channel, stop: asyncio.Event) -> None:
        """Apply messages in order for one life of the waiting queue's channel."""
        self._session += 1
        started = self._clock.monotonic()
        lanes: Lanes[WaitingMessage] = Lanes(self._route.concurrency, self._each)
        runner = LaneRunner(self._deps, broker, lanes, self._session)
        waiting_queue = WaitingQueue(self._deps, channel, lanes, self._most, runner.changed)
        await waiting_queue.load()
        await waiting_queue.ack_all_surplus()
        logger.info("order.taken_over", route=self._route.name, waiting=len(lanes), ms=round((self._clock.monotonic() - started) * 1000))
        intake = self._intake(broker, lanes, runner)
        consumes = self._metrics.consuming.labels(self._route.name)
        consumes.set(1)
        self._health.up(self._part, self._detail)
        closing = asyncio.Event()
        moving = asyncio.create_task(intake.run(closing))
        try:
            ended = await race(
                channel.wait_closed(),
                stop.wait(),
                self._needs.wait_unavailable(),
                ending(moving),
                waiting_queue.consume(),
                waiting_queue.ack_surplus(),
                waiting_queue.refresh(),
                runner.run(),
                self._report(lanes, intake),
            )
            consumes.set(0)
            if isinstance(ended, str):
                runner.lost()
                self._health.down(self._part, f"not consuming: {ended}")
                logger.warning("consumer.lost", route=self._route.name, reason=ended)
                return
            closing.set()
            await moving
            await runner.drain()  # the channel stays open for the acks of the running messages
            await waiting_queue.ack_all_surplus()
        finally:
            consumes.set(0)
            moving.cancel()
            await asyncio.gather(moving, return_exceptions=True)
            lanes.stop_starting()

    def _intake(self, broker: Broker, lanes: Lanes[WaitingMessage], runner: LaneRunner) -> Intake:
        """Return an intake whose numbers begin above the waiting queue's and above the clock: no finished message may come again with a higher number."""
        last = lanes.newest
        sequence = max(0 if last is None else last[0], int(self._clock.now() * 1e9))
        return Intake(self._deps, broker, runner.settler, lanes, self._bodyless, sequence, most=self._most, ready=runner.changed)

    async def _report(self, lanes: Lanes[WaitingMessage], intake: Intake) -> None:
        """Report the state of the lanes, and let the intake check for room."""
        report = WaitingReport(self._route, self._part, self._detail, lanes, self._clock, self._metrics, self._health)
        try:
            while True:
                report.sample()
                intake.changed()
                await self._clock.sleep(REPORT_INTERVAL)
        finally:
            report.close()


def consuming_detail(route: Publisher) -> str:
    """Return the readiness text of a route that works."""
    kept = {"in order by key": route.order_by, "in turns by customer": route.fair_by}
    return f"consuming, {' and '.join(how for how, template in kept.items() if template is not None)}"


async def ending(task: asyncio.Task[None]) -> None:
    """Wait for the task without cancelling it."""
    await asyncio.shield(task)
