"""A publisher: a message becomes one POST or DELETE of Halo, at most once as far as can be known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC
from typing import Any

from worker.catalogue.errors import RequestError, WrongType
from worker.config.routes import Publisher
from worker.core.bodies import is_small, read_message
from worker.core.delivery_state import DeliveryState
from worker.core.errors import BrokerError, EvaluatorUnavailable, ExpressionError, LookupUnanswered, Undecodable
from worker.core.exchange import Priority
from worker.core.ledger import Ledger
from worker.core.message import Delivery
from worker.core.outcome import DeadClass, Done, NotSent, Outcome, Refused, Skipped, releasing, with_state_updates
from worker.core.ports import Clock, Evaluator, Halo
from worker.core.topology import Topology, work_topology
from worker.core.trace import NO_TRACE, Note, Tracer
from worker.flows.consuming.consumer import Consumption
from worker.flows.evaluating import unevaluated
from worker.flows.tracing import write_note
from worker.flows.writes.attempt import DENIED_PAUSE, Attempts
from worker.flows.writes.deduplicator import Deduplicator
from worker.flows.writes.guarded_write import GuardedWriter, unanswered
from worker.flows.writes.write_request import write_of
from worker.threads import read_body

LEFT_OUT = Skipped("the route's `when`")


def publisher_topology(route: Publisher) -> Topology:
    return work_topology(route.queue, route.retry, route.bind, declare=route.declare) + results_topology(route)


def results_topology(route: Publisher) -> Topology:
    """Return the topology of the target of the route's results."""
    return Topology() if route.result is None else route.result.topology


def consumption_of(route: Publisher) -> Consumption:
    return Consumption(route.name, route.queue, route.concurrency, route.retry, f"publisher {route.name}", route.declare)


class PublisherFlow:
    """The handler of one publisher's messages."""

    def __init__(self, route: Publisher, halo: Halo, ledger: Ledger, evaluator: Evaluator, clock: Clock, tracer: Tracer = NO_TRACE) -> None:
        self._route = route
        self._evaluator = evaluator
        self._clock = clock
        self._deduplicator = None if route.once is None else Deduplicator(route.name, route.once, ledger, evaluator)
        self._attempts = Attempts(route.name, ledger, clock, tracer)
        self._tracer = tracer
        self._writer = GuardedWriter(halo, evaluator, route.operation, route.find, route.in_doubt, Priority.WRITE, claim_all=route.has_waiting_queue)

    async def handle(self, delivery: Delivery, state: DeliveryState) -> Outcome:
        """Decode, filter, transform, look up where that is needed, send. Always returns an `Outcome`."""
        bindings = message_bindings(self._route, delivery, state)
        try:
            document = read_message(delivery.message) if is_small(delivery.message) else await read_body(delivery.message)
            if await is_left_out(self._route, document, bindings, self._evaluator):
                return LEFT_OUT
            key = None if self._deduplicator is None else await self._deduplicator.key_of(document, bindings)
        except (LookupUnanswered, ExpressionError, Undecodable) as error:
            return unshaped(error, state)
        if self._deduplicator is None or key is None:
            return await self._written(document, bindings, delivery, state)
        return await self._deduplicated(self._deduplicator, key, document, bindings, delivery, state)

    async def _deduplicated(
        self, deduplicator: Deduplicator, key: str, document: Any, bindings: dict[str, Any], delivery: Delivery, state: DeliveryState
    ) -> Outcome:
        """As `_written`, unless another message holds the key."""
        if not key:
            return Refused(DeadClass.TRANSFORM, "`once` yields nothing for this message, so the worker cannot know whether it was sent before")
        try:
            number = await deduplicator.holder(key, delivery, state)
        except BrokerError as error:
            await self._clock.sleep(DENIED_PAUSE)
            return NotSent(f"the key of `once` could not be claimed: {error}", counted=False)
        if number is None:
            return Skipped("a copy: another message has its `once` key")
        outcome = with_state_updates(await self._written(document, bindings, delivery, replace(state, holder=number)), {"holder": number})
        return releasing(outcome, deduplicator.release(key, number, state))

    async def _written(self, document: Any, bindings: dict[str, Any], delivery: Delivery, state: DeliveryState) -> Outcome:
        attempt = self._attempts.of(delivery, state, self._route.retry, remembered=state.remembered, holder=state.holder)
        try:
            shaped = document if self._route.transform is None else await self._route.transform.evaluate(document, bindings, self._evaluator)
            write = await write_of(self._route, shaped, document, bindings, self._evaluator)
            self._tracer.note(Note("transformed", self._route.name, state.message_id, state.correlation_id))
            outcome = await self._writer.write(write, document, bindings, attempt)
        except (EvaluatorUnavailable, ExpressionError, Undecodable, RequestError) as error:
            return unshaped(error, state)
        if isinstance(outcome, Done):
            self._tracer.note(write_note(self._route, write, outcome, state))
        return outcome


def unshaped(error: EvaluatorUnavailable | ExpressionError | Undecodable | RequestError, state: DeliveryState) -> Outcome:
    """Return the outcome of a message from which no request can be made."""
    match error:
        case LookupUnanswered():
            return unanswered(error, doubtful=state.doubtful)
        case EvaluatorUnavailable():
            return unevaluated(error)
        case ExpressionError() | WrongType():
            return Refused(DeadClass.TRANSFORM, str(error))
        case _:
            return Refused(DeadClass.DECODE, str(error))


async def is_left_out(route: Publisher, document: Any, bindings: Mapping[str, Any], evaluator: Evaluator) -> bool:
    """Whether the route's `when` leaves the message out. Raises the errors of the evaluation."""
    return route.when is not None and not await route.when.holds(document, bindings, evaluator)


async def refused_unless_left_out(route: Publisher, delivery: Delivery, state: DeliveryState, evaluator: Evaluator, refused: Refused, largest: int) -> Outcome:
    """Return the outcome of a message whose `order_by` or `fair_by` yields no key: `when` comes first, as for every message.

    Raises `EvaluatorUnavailable`.
    """
    try:
        document = await read_body(delivery.message, largest)
        if await is_left_out(route, document, message_bindings(route, delivery, state), evaluator):
            return LEFT_OUT
    except (LookupUnanswered, ExpressionError, Undecodable) as error:
        return unshaped(error, state)
    return refused


def message_bindings(route: Publisher, delivery: Delivery, state: DeliveryState) -> dict[str, Any]:
    """Return the variables of a publisher's expressions besides the message."""
    message = delivery.message
    about = {"id": message.message_id, "routing_key": state.routing_key, "attempt": state.attempts + 1}
    if message.timestamp is not None:
        about["time"] = message.timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"route": route.name, "client": route.client, "headers": dict(state.headers), "message": about}
