"""Owns each delivery from its arrival to its acknowledgement, for every kind of route: the one outermost frame."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from worker.core.delivery_state import DeliveryState
from worker.core.errors import BrokerError, ChannelLost, EvaluatorUnavailable
from worker.core.ledger import Ledger
from worker.core.message import UNREADABLE_HEADERS, Delivery
from worker.core.outcome import Ambiguous, DeadClass, Done, Outcome, Refused
from worker.core.ports import Clock
from worker.core.settlement import Ack, Bury, Settlement, settle
from worker.core.spans import Span, Value, span
from worker.core.trace import NO_TRACE, Tracer
from worker.flows.consuming.answering import Answer, no_answer
from worker.flows.consuming.memory import Memory
from worker.flows.evaluating import unevaluated
from worker.flows.tracing import received_note, settlement_note, stage_of
from worker.metrics import Metrics
from worker.waits import WorkScope

logger = structlog.get_logger()
Handler = Callable[[Delivery, DeliveryState], Awaitable[Outcome]]
Report = Callable[[Outcome, Settlement, DeliveryState, float], None]
"""Reports the settlement of a message, and the seconds since the worker took the message."""
WEIGHT_OF_COPY = 3  # times the body: its frames, the bytes that the socket has not taken yet, and the body itself once more
LONGEST_WORD = 100
MAX_ORPHANS = 1000  # results whose redelivery never came (another replica had it) are dropped, oldest first


class Job(Protocol):
    """One delivery, and how its kind of route begins it, settles it and takes it off the queue."""

    @property
    def delivery(self) -> Delivery: ...
    @property
    def state(self) -> DeliveryState: ...
    @property
    def key(self) -> Hashable:
        """The identity of the message, which it shares with its redelivered copy."""
        ...

    @property
    def session(self) -> int:
        """The session in which it arrived: the life of one channel."""
        ...

    @property
    def delays(self) -> tuple[float, ...]:
        """Seconds between attempts."""
        ...

    @property
    def may_join(self) -> bool:
        """Whether a run of an earlier session may belong to this message."""
        ...

    async def handle(self) -> Outcome:
        """Run its handler."""
        ...

    async def due(self, settlement: Settlement) -> Settlement:
        """Return the settlement when the worker may carry it out. Raises `ChannelLost` when the broker delivers the message again instead."""
        ...

    async def place(self, outcome: Outcome, settlement: Settlement) -> Settlement:
        """Publish the copy that the settlement asks for, confirmed. Return the settlement that was carried out. Raises `ChannelLost`."""
        ...

    async def ack(self) -> None:
        """Raises `ChannelLost`."""
        ...

    def ended(self, settlement: Settlement | None, *, lost: bool) -> bool:
        """Whether the result is kept for a redelivered copy. `lost`: its channel was lost before the acknowledgement."""
        ...


@dataclass(slots=True, eq=False)
class Execution:
    """A handler's run for one delivery, in the consumer's `session` (one channel's life).

    `settlement`: the settlement that was carried out. Its copy is in the retry or dead-letter queue, and only the result and the acknowledgement are missing.
    `answered`: the result is sent, or cannot be sent.
    """

    key: Hashable
    session: int
    settlement: Settlement | None = None
    answered: bool = False
    _outcome: Outcome | None = None
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, handling: Awaitable[Outcome]) -> Outcome:
        """Run the handler and return its outcome, also to a copy that waits for it."""
        self._outcome = await handling
        self._ended.set()
        return self._outcome

    async def outcome(self) -> Outcome:
        """Return the outcome of the run, once it has ended."""
        await self._ended.wait()
        if self._outcome is None:
            raise RuntimeError("an execution ends with an outcome")
        return self._outcome


class InFlight:
    """The executions of one consumer."""

    def __init__(self) -> None:
        self._running: dict[Hashable, deque[Execution]] = {}
        self._orphans: deque[Execution] = deque()

    def join_execution(self, key: Hashable, session: int) -> Execution | None:
        """Return the execution of an earlier session for the same message, which its redelivered copy then settles. None if there is none."""
        for execution in self._running.get(key, ()):
            if execution.session < session:
                execution.session = session
                if execution in self._orphans:
                    self._orphans.remove(execution)
                return execution
        return None

    def running(self, key: Hashable, session: int) -> bool:
        """Whether `join_execution` would find one."""
        return any(execution.session < session for execution in self._running.get(key, ()))

    def start(self, key: Hashable, session: int) -> Execution:
        execution = Execution(key, session)
        self._running.setdefault(key, deque()).append(execution)
        return execution

    def settled(self, execution: Execution) -> None:
        """Forget an execution whose message has left its queue (or is in another): no copy will ask for the result."""
        executions = self._running[execution.key]
        executions.remove(execution)
        if not executions:
            del self._running[execution.key]

    def unsettled(self, execution: Execution, session: int) -> None:
        """Keep the result for the redelivered copy, unless that copy has come already. The channel of `session` was lost."""
        if execution.session != session:
            return
        self._orphans.append(execution)
        if len(self._orphans) > MAX_ORPHANS:
            self.settled(self._orphans.popleft())


@dataclass(frozen=True, slots=True)
class DeliveryRunner:
    """Runs and settles the deliveries of one route."""

    route: str
    ledger: Ledger
    memory: Memory
    clock: Clock
    metrics: Metrics
    in_flight: InFlight
    report: Report
    tracer: Tracer = NO_TRACE
    answer: Answer = no_answer

    async def run(self, job: Job) -> None:
        """Settle the delivery, even if its handler fails. When its channel is lost, the broker delivers it again."""
        state, started = job.state, self.clock.monotonic()
        in_flight_gauge = self.metrics.in_flight.labels(self.route)
        with (
            WorkScope(self.route, self.metrics, correlation_id=state.correlation_id),
            span(f"process {self.route}", "consumer", span_attributes(self.route, job), state.headers) as traced,
        ):
            execution = self.in_flight.join_execution(job.key, job.session) if job.may_join else None
            joined = execution is not None
            if execution is None:
                execution = self.in_flight.start(job.key, job.session)
            in_flight_gauge.inc()
            self.tracer.note(received_note(self.route, state))
            try:
                outcome = await (execution.outcome() if joined else execution.run(handled(job)))
                settlement = await self._settled(job, execution, outcome)
                if not execution.answered:
                    await self.answer(outcome, settlement, job.delivery, state)
                    execution.answered = True
                await job.ack()
            except ChannelLost as error:
                logger.warning("message.unsettled", message_id=state.message_id, reason=str(error))
                traced.fail("channel_lost")
                self._end(job, execution, lost=True)
                return
            finally:
                in_flight_gauge.dec()
            self._end(job, execution)
            self.report(outcome, settlement, state, self.clock.monotonic() - started)
            self.tracer.note(settlement_note(self.route, outcome, settlement, state))
            record_outcome(traced, outcome, settlement)

    async def _settled(self, job: Job, execution: Execution, outcome: Outcome) -> Settlement:
        """Return the settlement that was carried out, by this delivery or by the delivery whose run it joined.

        In the second case only the acknowledgement is missing. Raises `ChannelLost`.
        """
        if execution.settlement is None:
            decided = settle(outcome, attempts=job.state.attempts, doubtful=job.state.doubtful, delays=job.delays)
            decided = await job.due(decided)
            await self._update_ledger(decided)  # before its dead letter can be replayed
            async with self.memory.working(0 if isinstance(decided, Ack) else len(job.delivery.message.body), WEIGHT_OF_COPY):
                execution.settlement = await job.place(outcome, decided)
            if execution.settlement is not decided:
                await self._update_ledger(execution.settlement)
        return execution.settlement

    async def _update_ledger(self, settlement: Settlement) -> None:
        if isinstance(settlement, Bury) and settlement.release is not None:
            with suppress(BrokerError):  # without the claim the next message with its key is skipped while the dead letter is there, which can be replayed
                await self.ledger.claim(settlement.release.key, settlement.release.owner)

    def _end(self, job: Job, execution: Execution, *, lost: bool = False) -> None:
        if job.ended(execution.settlement, lost=lost):
            self.in_flight.unsettled(execution, job.session)
        else:
            self.in_flight.settled(execution)


def span_attributes(route: str, job: Job) -> Mapping[str, Value]:
    """Return the span attributes of a message: ids, names and numbers."""
    state = job.state
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": "process",
        "messaging.destination.name": job.delivery.queue,
        "messaging.message.id": state.message_id,
        "messaging.message.conversation_id": state.correlation_id,
        "halo.route": route,
        "halo.attempt": state.attempts + 1,
    }


def record_outcome(traced: Span, outcome: Outcome, settlement: Settlement) -> None:
    """Write the outcome and the settlement of the message to its span."""
    event, more = stage_of(outcome, settlement)
    record = {"halo.entity": outcome.entity, "halo.record": str(outcome.record)} if isinstance(outcome, Done) and outcome.entity else {}
    traced.set({"halo.outcome": event, "halo.status": more.get("status")} | record)
    if isinstance(settlement, Bury):
        traced.fail(settlement.dead_class.value)


async def handled(job: Job) -> Outcome:
    """Return the handler's outcome.

    A handler that raises leaves the message in doubt. If no expression could be evaluated, the handler has done nothing yet, and the message is not in doubt.
    """
    if isinstance(unread := job.delivery.message.headers.get(UNREADABLE_HEADERS), str):
        return Refused(DeadClass.DECODE, f"its headers cannot be read: {unread[:LONGEST_WORD]}")
    try:
        return await job.handle()
    except EvaluatorUnavailable as error:
        return unevaluated(error)
    except Exception as error:
        logger.error("message.crashed", message_id=job.state.message_id, error=type(error).__name__, exc_info=error)
        return Ambiguous(f"{type(error).__name__} in the worker itself; the log has the trace", repeatable=False)


def warn_unproven_headers(route: str, state: DeliveryState) -> None:
    """Warn about the worker's headers that a sender wrote. The worker ignores them, which matters where dead letters are forwarded by hand."""
    if state.unproven:
        reason = "its sender wrote headers that belong to the worker: the worker keeps them as the sender's, and ignores them"
        logger.warning("headers.unproven", route=route, message_id=state.message_id, headers=list(state.unproven), reason=reason)
