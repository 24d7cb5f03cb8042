"""Plans what a message of a publisher causes."""

from __future__ import annotations

from collections.abc import Sequence

from worker.config.routes import Publisher
from worker.core.delivery_state import DeliveryState
from worker.core.header_codec import HeaderCodec
from worker.core.json_codec import MAX_BYTES
from worker.core.ledger import Ledger
from worker.core.message import Delivery, Message
from worker.core.outcome import Continue, Done, Outcome, Refused, Skipped
from worker.core.plan import Plan, PlanFailed, PlannedRequest
from worker.core.ports import Clock, Evaluator, Halo
from worker.flows.local.delivery import LocalDelivery
from worker.flows.ordered.messages import keys_of
from worker.flows.writes.publisher import PublisherFlow
from worker.halo.interception import RequestRecorder

BELIEVES_NOBODY = HeaderCodec()


async def plan_message(
    route: Publisher, halo: Halo, recorder: RequestRecorder, ledger: Ledger, evaluator: Evaluator, clock: Clock, message: Message, routing_key: str = ""
) -> Plan:
    """Handle the message as the worker does, and return the plan. Raises `PlanFailed`."""
    delivery = LocalDelivery(message, route.queue, routed=routing_key)
    outcome = await handled(route, PublisherFlow(route, halo, ledger, evaluator, clock), delivery, evaluator, clock)
    return plan_of(outcome, recorder.requests, recorder.unanswered)


async def handled(route: Publisher, flow: PublisherFlow, delivery: Delivery, evaluator: Evaluator, clock: Clock) -> Outcome:
    state: DeliveryState = BELIEVES_NOBODY.read(delivery)
    if route.has_waiting_queue and (refused := (await keys_of(route, delivery, state, evaluator, clock, MAX_BYTES)).refused) is not None:
        return refused
    return await flow.handle(delivery, state)


def plan_of(outcome: Outcome, requests: Sequence[PlannedRequest], unanswered: Sequence[str]) -> Plan:
    """Return the plan of an outcome. Raises `PlanFailed` if the outcome says nothing about the message."""
    requests, unanswered = tuple(requests), tuple(unanswered)
    match outcome:
        case Done(detail):
            writes = any(request.writes for request in requests)
            return Plan("request" if writes else "skipped", requests, reason="" if writes else detail, unanswered=unanswered)
        case Skipped(detail):
            return Plan("skipped", requests, reason=detail, unanswered=unanswered)
        case Refused(dead_class, reason):
            return Plan("dead", requests, dead_class=dead_class.value, reason=reason, unanswered=unanswered)
        case Continue():
            raise PlanFailed("the message goes on to another queue")
        case _:
            raise PlanFailed(outcome.reason)
