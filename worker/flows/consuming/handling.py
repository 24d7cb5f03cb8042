"""Around a handler: what it raises becomes an outcome, and what became of its message is told in one line and one metric."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import structlog

from worker.core.delivery_state import DeliveryState
from worker.core.errors import EvaluatorUnavailable
from worker.core.message import UNREADABLE_HEADERS, Delivery
from worker.core.outcome import DeadClass, Doubtful, Outcome, Refused, Skipped
from worker.core.settlement import Ack, Bury, Forward, Retry, Settlement
from worker.flows.evaluating import unevaluated
from worker.metrics import Metrics

logger = structlog.get_logger()
Handler = Callable[[Delivery, DeliveryState], Awaitable[Outcome]]
DELIVERIES = "x-delivery-count"
SUSPECT = 3  # deliveries, or starts, without an end after which a message may be the one that takes workers down
LONGEST_APART = 5.0
LONGEST_WORD = 100


def apart(delivery: Delivery) -> float:
    """Seconds before a message that was handed out again and again is begun.

    At random: one that takes its worker down would else take the same neighbours with it each time, until the broker buries them all.
    """
    deliveries = delivery.message.headers.get(DELIVERIES) if delivery.redelivered else None  # at the first delivery only its sender can have written it
    if not isinstance(deliveries, int) or deliveries < SUSPECT:
        return 0.0
    return random.uniform(0.0, min(LONGEST_APART, deliveries - SUSPECT + 1))  # noqa: S311 - keeps no secret


def tell_unproven(route: str, state: DeliveryState) -> None:
    """A sender wrote headers of ours: they count for nothing, which is worth a line where somebody forwards dead letters by hand."""
    if state.unproven:
        reason = "its sender wrote headers that belong to the worker: they are kept as the sender's, and count for nothing"
        logger.warning("headers.unproven", route=route, message_id=state.message_id, headers=list(state.unproven), reason=reason)


async def handled(handler: Handler, delivery: Delivery, envelope: DeliveryState) -> Outcome:
    """The handler's outcome; one that raises has left the message in doubt, unless it says that nothing could be evaluated: then it has done nothing yet."""
    if isinstance(unread := delivery.message.headers.get(UNREADABLE_HEADERS), str):
        return Refused(DeadClass.DECODE, f"its headers cannot be read: {unread[:LONGEST_WORD]}")
    try:
        return await handler(delivery, envelope)
    except EvaluatorUnavailable as error:
        return unevaluated(error)
    except Exception as error:
        logger.error("message.crashed", message_id=envelope.message_id, error=type(error).__name__, exc_info=error)
        return Doubtful(f"{type(error).__name__} in the worker itself; the log has the trace", repeatable=False)


def report(metrics: Metrics, route: str, outcome: Outcome, settlement: Settlement, envelope: DeliveryState, seconds: float) -> None:
    """Tell what became of a message."""
    what = {"message_id": envelope.message_id, "attempt": envelope.attempts + 1, "ms": round(seconds * 1000)}
    result = type(outcome).__name__.lower()
    match settlement:
        case Ack() | Forward():
            event = "message.skipped" if isinstance(outcome, Skipped) else "message.done"
            logger.info(event, **what, status=getattr(outcome, "status", None), detail=getattr(outcome, "detail", ""))
        case Retry(delay, _, doubtful, reason, hold=hold):
            result = "retried"
            logger.warning("message.retried", **what, delay=hold or delay, doubtful=doubtful, reason=reason)
        case Bury(dead_class, reason, status):
            result = f"dead_{dead_class.value}"
            again = {"replays": envelope.replays} if envelope.replays else {}
            logger.error("message.dead", **what, **again, dead_class=dead_class.value, status=status, reason=reason)
    metrics.messages.labels(route, result).inc()
