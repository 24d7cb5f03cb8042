"""Publishes changes as confirmed events. A change that cannot become an event is parked with its reason; the others continue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from worker.changes.detect import Change
from worker.changes.records import identity
from worker.config.routes import Subscriber
from worker.core.errors import EvaluatorUnavailable, ExpressionError, PublishDoubtful, PublishRefused, Undecodable, Unpublishable, Unroutable, WorkerError
from worker.core.json_codec import encode
from worker.core.message import Message
from worker.core.outcome import DeadClass
from worker.core.ports import Clock, Evaluator, Publishing
from worker.core.spans import Value, carrying, span
from worker.core.topology import UNROUTED, subscriber_dead_queue
from worker.core.trace import NO_TRACE, Note, Tracer
from worker.flows.polling.events import UNREAD_CHILDREN, Event, event_of, parked_headers, passes_when, unrouted_headers, with_parent
from worker.metrics import Metrics

logger = structlog.get_logger()
ATTEMPTS = 3
MAX_KEY = 1000  # characters of a record's key in the headers, if the record itself is left out: a longer key fits into no message


class EmitStopped(WorkerError):
    """The worker cannot build the events, or the broker does not accept them, for now: the poll fails and its cursor stays. `settled`: the changes that are done."""

    def __init__(self, reason: str, settled: Sequence[Change] = ()) -> None:
        super().__init__(reason)
        self.settled = list(settled)


@dataclass(slots=True)
class ScanTally:
    """Counts of one scan."""

    rows: int = 0
    pages: int = 0
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


@dataclass(frozen=True, slots=True)
class ParkReason:
    """Why a record is put into the dead queue, with further headers."""

    reason: str
    dead_class: DeadClass
    status: int | None = None
    marks: Mapping[str, Any] = field(default_factory=dict)


class Emitter:
    """Publishes the events of one subscriber."""

    def __init__(
        self, route: Subscriber, broker: Publishing, evaluator: Evaluator, clock: Clock, metrics: Metrics, source: str, tracer: Tracer = NO_TRACE
    ) -> None:
        self._route = route
        self._broker = broker
        self._evaluator = evaluator
        self._clock = clock
        self._metrics = metrics
        self._source = source
        self._tracer = tracer

    def _note(self, event: str, change: Change, message: Message | None = None, at: float | None = None, **more: Any) -> None:
        ids = ("", "") if message is None else (message.message_id, message.correlation_id or "")
        details = {"change": change.kind, **more}
        self._tracer.note(Note(event, self._route.name, *ids, self._route.operation.id_space, (change.key,), tuple(details.items()), at))

    async def emit(self, changes: Sequence[Change], position: str, tally: ScanTally) -> None:
        """Publish all changes. Raises `EmitStopped` after it tried all and some failed, and `BrokerError` when the broker is lost."""
        results = await asyncio.gather(*(self._emit_one(change, position, tally) for change in changes), return_exceptions=True)
        settled = [change for change, result in zip(changes, results, strict=True) if result is None]
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, EmitStopped):
                raise error
        if errors:
            raise EmitStopped(str(errors[0]), settled)

    async def _emit_one(self, change: Change, position: str, tally: ScanTally) -> None:
        self._note("seen", change)
        try:
            if not await passes_when(self._route, change, self._evaluator):
                self._note("filtered", change)
                tally.add("filtered")
                return
            now = datetime.fromtimestamp(self._clock.now(), UTC)
            event = await event_of(self._route, change, self._source, now, position, self._evaluator)
        except (ExpressionError, Undecodable) as error:
            await self.park(change, str(error), tally)
            return
        except EvaluatorUnavailable as error:
            raise EmitStopped(str(error)) from error
        await self._publish(event, change, tally)

    async def _publish(self, event: Event, change: Change, tally: ScanTally) -> None:
        sent = self._clock.now()
        try:
            with span(f"publish {event.exchange}", "producer", span_attributes(event, change, self._route)):
                event = replace(event, message=carrying(event.message))
                await self._confirmed(event.message, event.routing_key, event.exchange)
        except Unroutable as error:
            await self._unrouted(event, error)
            self._note("unrouted", change, event.message, then=self._route.unrouted)
            tally.add("unrouted")
            return
        except Unpublishable as error:
            await self.park(change, f"its event cannot be published: {error}", tally)
            return
        tally.add(change.kind)
        self._note("published", change, event.message, sent)  # a route may receive the event before its confirm arrives
        self._metrics.events.labels(self._route.name, change.kind).inc()
        logger.info(
            "event.published",
            routing_key=event.routing_key,
            record=change.key,
            change=change.kind,
            message_id=event.message.message_id,
            correlation_id=event.message.correlation_id,
        )

    async def _unrouted(self, event: Event, error: Unroutable) -> None:
        self._metrics.unrouted.labels(self._route.name).inc()
        logger.warning("event.unrouted", exchange=event.exchange, routing_key=event.routing_key, then=self._route.unrouted)
        if self._route.unrouted == "stop":
            raise EmitStopped(
                f"no queue takes {event.routing_key} from exchange {event.exchange}: bind one, or let the route park (`unrouted: park`)"
            ) from error
        if self._route.unrouted == "park":
            headers = unrouted_headers(event.exchange, event.routing_key, self._route.name, event.message.headers)
            await self._confirmed(replace(event.message, headers=headers, message_id=""), UNROUTED)

    async def park(self, change: Change, reason: str, tally: ScanTally, dead_class: DeadClass = DeadClass.TRANSFORM, status: int | None = None) -> None:
        """Put the record into the dead queue of the subscriber. Raises `EmitStopped`, `BrokerError`."""
        await self._park(
            change, ParkReason(reason, dead_class, status), with_parent(change.record, change.parent), identity(change.key, self._route.key), tally
        )

    async def park_parent(self, change: Change, reason: str, tally: ScanTally, dead_class: DeadClass, status: int | None = None) -> None:
        """Put a parent whose children cannot be read into the dead queue. Raises `EmitStopped`, `BrokerError`."""
        await self._park(change, ParkReason(reason, dead_class, status, {UNREAD_CHILDREN: True}), change.record, {"key": change.key}, tally)

    async def _park(self, change: Change, parked: ParkReason, body: Mapping[str, Any], remainder: Mapping[str, Any], tally: ScanTally) -> None:
        """Put the body into the dead queue. `remainder`: the part that is kept of a record that is too large for a message."""
        died = datetime.fromtimestamp(self._clock.now(), UTC)
        headers = dict(parked_headers(parked.reason, parked.dead_class, self._route.name, died, parked.status))
        headers |= {"record": change.key, "change": change.kind, **parked.marks}
        dead = subscriber_dead_queue(self._route.name)
        try:
            await self._confirmed(Message(encode(body), headers), dead)
        except Unpublishable as error:  # Halo has the record
            left_out = {"dead-left-out": f"the record, of which only its key is kept: {error}", "record": change.key[:MAX_KEY]}
            await self._confirmed(Message(encode(remainder), headers | left_out), dead)
        tally.add("parked")
        self._note("parked", change, dead_class=parked.dead_class.value, status=parked.status)
        self._metrics.parked.labels(self._route.name).inc()
        logger.warning("record.parked", record=change.key, change=change.kind, dead_class=parked.dead_class.value, status=parked.status, reason=parked.reason)

    async def _confirmed(self, message: Message, routing_key: str, exchange: str = "") -> None:
        """Publish until confirmed; a copy from an unconfirmed attempt has the same dedupe key. Raises `Unpublishable`, `EmitStopped`."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._broker.publish(message, routing_key=routing_key, exchange=exchange)
            except Unpublishable:
                raise
            except PublishRefused as error:
                raise EmitStopped(f"the broker refuses events: {error}") from error
            except PublishDoubtful as error:
                if attempt == ATTEMPTS:
                    raise EmitStopped(f"the broker does not confirm events: {error}") from error
            else:
                return


def span_attributes(event: Event, change: Change, route: Subscriber) -> Mapping[str, Value]:
    """Return the span attributes of an event: ids and names."""
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.type": "send",
        "messaging.destination.name": event.exchange,
        "messaging.message.id": event.message.message_id,
        "messaging.message.conversation_id": event.message.correlation_id,
        "halo.route": route.name,
        "halo.entity": route.operation.entity,
        "halo.record": change.key,
        "halo.change": change.kind,
    }
