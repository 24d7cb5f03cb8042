"""Plans what a record of a subscriber causes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from worker.app.planning.publishing import PublishRecorder
from worker.changes.cells import typed
from worker.changes.detect import Change
from worker.changes.records import content_hash, record_key
from worker.config.routes import Subscriber
from worker.core.outcome import DeadClass
from worker.core.plan import Plan, PlanFailed
from worker.core.ports import Clock, Evaluator
from worker.core.topology import subscriber_dead_queue
from worker.flows.polling.emit import EmitStopped, Emitter, ScanTally
from worker.flows.polling.events import deletion, split_parent
from worker.metrics import Metrics

ChangeKind = Literal["created", "updated", "deleted", "backfilled"]


async def plan_record(route: Subscriber, source: str, evaluator: Evaluator, clock: Clock, record: Any, kind: ChangeKind) -> Plan:
    """Emit the record as a change of this kind, and return the plan. `source`: the address of the list. Raises `PlanFailed`."""
    if not isinstance(record, dict):
        return Plan("skipped", reason="it is no record: a subscriber reads objects")
    record, parent = split_parent(record)
    if route.report is not None and kind != "deleted":
        record, reason = typed(record, route.report.types)
        if reason:
            return Plan("dead", dead_class=DeadClass.TRANSFORM.value, reason=reason)
    if (key := record_key(record, route.key)) is None:
        return Plan("skipped", reason=f"the record has no {' and '.join(route.key)}, which identifies it")
    broker, tally = PublishRecorder(), ScanTally()
    try:
        await Emitter(route, broker, evaluator, clock, Metrics(), source).emit([replace(change_of(route, record, key, kind), parent=parent)], "0.0", tally)
    except EmitStopped as error:
        raise PlanFailed(str(error)) from error
    if not broker.published:
        return Plan("skipped", reason="the route's `when`")
    [published] = broker.published
    if not published.exchange and published.routing_key == subscriber_dead_queue(route.name):
        headers = published.message.headers
        return Plan("dead", dead_class=str(headers["dead-class"]), reason=str(headers["dead-reason"]))
    return Plan("event", event=published.event)


def change_of(route: Subscriber, record: dict[str, Any], key: str, kind: ChangeKind) -> Change:
    """Return the change. The content before an update is unknown: the dedupe key of an update has `new` in its place."""
    digest = content_hash(record, route.ignore)
    return deletion(route, key, digest) if kind == "deleted" else Change(kind, key, record, None, digest)
