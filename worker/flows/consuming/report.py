"""Reports the settlement of a message: one log line and one metric."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from worker.core.delivery_state import DeliveryState
from worker.core.outcome import Continue, Done, Outcome, Skipped
from worker.core.settlement import Ack, Bury, Forward, Retry, Settlement
from worker.metrics import Metrics

logger = structlog.get_logger()
SUCCESSES: Mapping[type[Outcome], str] = {Done: "done", Skipped: "skipped", Continue: "passed"}
"""The values of the metric's label `result` for messages that leave the route as they should."""


def report(metrics: Metrics, route: str, outcome: Outcome, settlement: Settlement, state: DeliveryState, seconds: float) -> None:
    """Log and count the settlement of a message."""
    what = {"message_id": state.message_id, "attempt": state.attempts + 1, "ms": round(seconds * 1000)}
    result = SUCCESSES.get(type(outcome), "")
    match settlement:
        case Ack() | Forward():
            event = "message.skipped" if isinstance(outcome, Skipped) else "message.done"
            record = {"entity": outcome.entity, "record": outcome.record} if isinstance(outcome, Done) and outcome.entity else {}
            logger.info(event, **what, **record, status=getattr(outcome, "status", None), detail=getattr(outcome, "detail", ""))
            metrics.succeeded.labels(route).set_to_current_time()
        case Retry(delay, _, doubtful, reason, hold=hold):
            result = "retried"
            metrics.retry_in(route, hold or delay or 0.0)
            logger.warning("message.retried", **what, delay=hold or delay, doubtful=doubtful, reason=reason)
        case Bury(dead_class, reason, status):
            result = f"dead_{dead_class.value}"
            again = {"replays": state.replays} if state.replays else {}
            logger.error("message.dead", **what, **again, dead_class=dead_class.value, status=status, reason=reason)
    metrics.messages.labels(route, result).inc()
