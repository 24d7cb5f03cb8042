"""Runs a subscriber: waits for its baton, takes a turn and publishes the next baton. The broker delivers the baton to one replica at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from worker.config.routes import Subscriber
from worker.core.errors import BrokerError, ChannelLost
from worker.core.health import Health
from worker.core.ports import Broker, Channel, Clock, Evaluator, Halo
from worker.core.spans import span
from worker.core.topology import Topology, browsable_queue, common_topology, events_topology, subscriber_dead_queue
from worker.core.trace import NO_TRACE, Tracer
from worker.flows.echoes.filter import EchoFilter
from worker.flows.polling.answer_cache import AnswerCache
from worker.flows.polling.backfilling import Backfiller, pause_after
from worker.flows.polling.emit import Emitter
from worker.flows.polling.next_arrival import next_arrival
from worker.flows.polling.poll import Poller
from worker.flows.polling.retrying import RetryingReader
from worker.flows.polling.schedule import Schedule, schedule_of
from worker.flows.polling.turn import TurnResult
from worker.flows.waiting import race
from worker.metrics import Metrics
from worker.state.backfill import Backfill
from worker.state.baton import Baton, KnownRef
from worker.state.baton_lease import BatonLease, HeldBaton, open_lease
from worker.state.bootstrap import baton_visible, ensure_baton, restart_baton
from worker.state.known_stream import KnownLost, KnownStream
from worker.state.record_index import RecordIndex
from worker.state.write_notices import WriteNotices
from worker.waits import WorkScope, waiting_for

logger = structlog.get_logger()
UNAVAILABLE_WAIT = 30.0  # seconds that a replica holds a baton while Halo is down, before another one may try
LOGGED_FAILURES = 3  # failed polls in a row after which the subscriber is not ready
ERROR_WAIT = 300.0  # maximum seconds between a failed poll and the next one


def subscriber_topology(route: Subscriber) -> Topology:
    """Return the queues and exchanges that a subscriber needs besides its own state."""
    dead = Topology(queues=(browsable_queue(subscriber_dead_queue(route.name)),))
    return common_topology() + events_topology(route.exchange, route.queue, route.queue_binding) + dead


class SubscriberFlow:
    """One subscriber. `turn_limit`: seconds after which a long scan continues in the next turn.

    `echoes`: notices of the worker's own writes, for routes that skip them. `shared`: the lists that the routes of this replica read together.
    """

    def __init__(
        self,
        route: Subscriber,
        halo: Halo,
        evaluator: Evaluator,
        clock: Clock,
        metrics: Metrics,
        health: Health,
        *,
        turn_limit: float = 300.0,
        echoes: WriteNotices | None = None,
        tracer: Tracer = NO_TRACE,
        shared: AnswerCache | None = None,
    ) -> None:
        self._route = route
        self._halo = halo
        self._evaluator = evaluator
        self._clock = clock
        self._metrics = metrics
        self._health = health
        self._turn_limit = turn_limit
        self._echoes = echoes
        self._tracer = tracer
        self._shared = shared
        self._held = ""
        self._schedule: Schedule = schedule_of(route)
        self._cached: tuple[KnownRef, RecordIndex] | None = None
        self._last_seen = clock.monotonic()
        self._gone = False
        self._failing = False
        self._last_turn = self._last_seen

    @property
    def part(self) -> str:
        """The name of this subscriber in the readiness report."""
        return f"subscriber {self._route.name}"

    async def serve(self, broker: Broker, stop: asyncio.Event) -> None:
        """Take turns until `stop`. Raises `BrokerError` when the attachment is lost."""
        await ensure_baton(broker, self._clock, self._route.name)
        while not stop.is_set():
            async with open_lease(broker, self._clock, self._route.name, self._metrics) as (lease, channel):
                await lease.reschedule(self._schedule.revised)
                await lease.listen()
                if not self._gone and not self._failing:
                    self._health.up(self.part, "waiting for its turn")
                self._metrics.consuming.labels(self._route.name).set(1)
                try:
                    await self._turns(broker, lease, channel, stop)
                finally:
                    self._metrics.consuming.labels(self._route.name).set(0)

    async def _turns(self, broker: Broker, lease: BatonLease, channel: Channel, stop: asyncio.Event) -> None:
        while not stop.is_set():
            arrived = await next_arrival(broker, self._clock, self._route.name, lease, channel, stop, self._turn_limit)
            if isinstance(arrived, str):
                self._health.down(self.part, f"it gets no turns: {arrived}")
                logger.warning("consumer.lost", route=self._route.name, reason=arrived)
                return
            if arrived is None:
                if not await self._baton_is_visible(broker):
                    return  # a channel without deliveries may hold the baton
                self._forget_old_failures()
            elif not isinstance(arrived, bool) and (held := await lease.take(arrived)) is not None:
                self._found()
                await self._turn(broker, lease, held, stop)

    async def _turn(self, broker: Broker, lease: BatonLease, held: HeldBaton, stop: asyncio.Event) -> None:
        with WorkScope(self._route.name, self._metrics):
            successor = await self._successor(broker, held.baton, stop)
        try:
            await lease.put(held, successor)
        except ChannelLost:
            self._cached = None
            raise
        self._last_seen = self._last_turn = self._clock.monotonic()

    async def _successor(self, broker: Broker, baton: Baton, stop: asyncio.Event) -> Baton:
        """Do the work of a turn and return the next baton. It holds failures of Halo and of records; failures of the broker are raised."""
        with waiting_for("halo", f"Halo, which client {self._halo.name} cannot use"):
            await race(self._halo.wait_available(), stop.wait(), timeout=UNAVAILABLE_WAIT)
        now = self._clock.now()
        if not self._halo.available:
            return replace(baton, due=now)
        if baton.due > now and baton.scan is None and baton.polled:
            return replace(baton, due=baton.due)  # it came early: another replica drained the waiting queue
        backfill = Backfill.of(baton.backfill)
        if backfill is not None and backfill.running and baton.scan is None and baton.polled and baton.poll_due > now:
            return await self._backfilled(broker, baton, backfill, stop)
        try:
            stream = KnownStream(broker, self._route.name)
            known = await self._known(stream, baton)
        except KnownLost as error:
            return await self._known_lost(baton, error)
        self._cached = None
        if not known.fits(baton.key, self._route.key):
            logger.warning("known.forgotten", route=self._route.name, key=list(self._route.key), records=len(known.hashes))
            baton, known = replace(baton, known=KnownRef(offset=baton.known.offset), scan=None), RecordIndex()
        result = await self._work(broker, baton, known, stop)
        ref = await stream.save(baton.known, known, seen=result.seen, scan_ended=result.ended)
        self._cached = (ref, known)
        failures = baton.failures if not result.ended else baton.failures + 1 if result.error else 0
        self._report(result, failures)
        due = self._due(result)
        if result.ended and backfill is not None and backfill.running:  # the backfill has the time until the next poll
            return baton.advanced(
                known=ref, due=min(due, self._clock.now() + pause_after(backfill)), poll_due=due, failures=failures, key=self._route.key, **result.changes
            )
        return baton.advanced(known=ref, due=due, failures=failures, key=self._route.key, **result.changes)

    async def _backfilled(self, broker: Broker, baton: Baton, backfill: Backfill, stop: asyncio.Event) -> Baton:
        """Take a turn of the backfill; the next poll stays due when it was."""
        emitter, reader = self._emitter(broker), RetryingReader(self._halo, self._clock, stop)
        self._health.up(self.part, f"a backfill reads its history (`halo-worker backfill {self._route.name} --status`)")
        backfiller = Backfiller(self._route, reader, emitter, self._evaluator, self._clock, self._metrics)
        backfill = await backfiller.take_turn(backfill, baton.poll_due, stop.is_set)
        due = min(baton.poll_due, self._clock.now() + pause_after(backfill)) if backfill.running else baton.poll_due
        return baton.advanced(backfill=backfill.as_object(), due=due)

    async def _known(self, stream: KnownStream, baton: Baton) -> RecordIndex:
        if self._cached is not None and self._cached[0] == baton.known:
            return self._cached[1]
        return await stream.load(baton.known)

    def _report(self, result: TurnResult, failures: int) -> None:
        """Say in readiness and in the metric how the last poll ended."""
        if not result.ended:
            return
        self._metrics.failed_polls.labels(self._route.name).set(failures)
        if result.held is not None:
            self._report_held(result.held)
        self._failing = result.ambiguous or failures >= LOGGED_FAILURES
        if self._failing:
            count = f"{failures} polls in a row failed, the last one: " if failures > 1 else ""
            self._health.down(self.part, count + result.error)
        elif result.error:
            self._health.up(self.part, f"the last poll failed: {result.error}")
        else:
            held = f"the last poll reports no deletions: {self._held}" if self._held else "polling"
            self._health.up(self.part, f"the last poll is not complete: {result.incomplete}" if result.incomplete else held)

    def _report_held(self, held: str) -> None:
        """Say once that deletions are held back, and once that they no longer are."""
        self._metrics.deletes_held.labels(self._route.name).set(bool(held))
        if held and not self._held:
            logger.error("deletes.held", route=self._route.name, reason=held)
        elif self._held and not held:
            logger.info("deletes.resumed", route=self._route.name)
        self._held = held

    def _forget_old_failures(self) -> None:
        """Forget failures that may have ended at another replica. This replica has had no turn for longer than its own next turn would take to come."""
        if self._failing and self._clock.monotonic() - self._last_turn > 2 * max(self._turn_limit, ERROR_WAIT):
            self._failing = False
            self._metrics.failed_polls.labels(self._route.name).set(0)
            self._health.up(self.part, "waiting for its turn")

    async def _work(self, broker: Broker, baton: Baton, known: RecordIndex, stop: asyncio.Event) -> TurnResult:
        emitter = self._emitter(broker)
        limit = self._clock.monotonic() + self._turn_limit
        check = EchoFilter(self._route, self._echoes, self._clock, self._metrics) if self._echoes is not None else None
        reader = RetryingReader(self._halo, self._clock, stop)
        poller = Poller(self._route, reader, emitter, self._evaluator, self._clock, self._metrics, check, self._shared)
        try:
            with span(f"poll {self._route.name}", attributes={"halo.route": self._route.name, "halo.entity": self._route.operation.entity}) as traced:
                result = await poller.take_turn(baton, known, lambda: stop.is_set() or self._clock.monotonic() >= limit)
                if result.error:
                    traced.fail("poll_failed")
        except BrokerError:
            raise
        except Exception as error:
            logger.error("poll.crashed", route=self._route.name, error=type(error).__name__, exc_info=error)
            result = TurnResult(
                {"scan": None, "polled": self._clock.now()}, None, ended=True, error=f"{type(error).__name__} in the worker itself; the log has the trace"
            )
        if result.unroutable:
            await self._declare_again(broker)
        return result

    def _emitter(self, broker: Broker) -> Emitter:
        source = self._halo.source(self._route.operation.path)
        return Emitter(self._route, broker, self._evaluator, self._clock, self._metrics, source, self._tracer)

    async def _declare_again(self, broker: Broker) -> None:
        """Declare the route's topology, which may have been deleted. A failure must not stop the baton."""
        try:
            await broker.declare(subscriber_topology(self._route))
        except BrokerError as error:
            if broker.lost:
                raise
            logger.error("topology.not_restored", route=self._route.name, reason=str(error))

    def _due(self, result: TurnResult) -> float:
        now = self._clock.now()
        if not result.ended:
            return now
        due = self._schedule.next(now)
        return min(due, now + ERROR_WAIT) if result.error and (self._route.every or ERROR_WAIT) >= ERROR_WAIT else due

    async def _known_lost(self, baton: Baton, error: KnownLost) -> Baton:
        now = self._clock.now()
        if self._route.on_lost_cursor == "start":
            logger.warning("known.lost", route=self._route.name, reason=str(error), then="starts as at its first poll")
            return Baton(epoch=baton.epoch, generation=baton.generation + 1, due=now, backfill=baton.backfill)
        self._alarm(f"{error}; nothing is polled until `halo-worker cursor set|reset {self._route.name}`, or the route says `on_lost_cursor: start`")
        return replace(baton, due=now + self._turn_limit)

    def _found(self) -> None:
        self._gone = False
        self._last_seen = self._clock.monotonic()
        self._metrics.cursor_lost.labels(self._route.name).set(0)

    def _alarm(self, reason: str) -> None:
        self._gone = True
        self._metrics.cursor_lost.labels(self._route.name).set(1)
        self._health.down(self.part, reason)
        logger.error("cursor.lost", route=self._route.name, reason=reason)

    async def _baton_is_visible(self, broker: Broker) -> bool:
        """Search the state queues for a baton that has not arrived for a while, and raise the alarm if it is lost."""
        if await baton_visible(broker, self._route.name):
            self._found()
            return True
        if self._clock.monotonic() - self._last_seen > 3 * self._turn_limit:  # longer than any replica may hold it
            if self._route.on_lost_cursor == "start" and await restart_baton(broker, self._clock, self._route.name):
                logger.warning("cursor.lost", route=self._route.name, then="starts as at its first poll")
                return True
            self._alarm(
                "its baton is gone (were its queues purged?): nothing is polled until "
                f"`halo-worker cursor set {self._route.name} --at ISO` or `cursor reset {self._route.name}`, or the route says `on_lost_cursor: start`"
            )
        return False
