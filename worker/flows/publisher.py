"""A publisher: a message becomes one POST or DELETE of Halo, at most once as far as can be known."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from worker.catalogue.errors import RequestError
from worker.catalogue.requests import build_request
from worker.config.routes import Publisher
from worker.core.errors import ExpressionError, Undecodable
from worker.core.exchange import Exchange, Fate, Priority
from worker.core.jsontext import decode
from worker.core.message import Delivery
from worker.core.outcome import DeadClass, Done, Doubtful, Outcome, Refused, Skipped, Unsent
from worker.core.ports import Halo
from worker.core.topology import Topology, work_topology
from worker.flows.consumer import Consumption
from worker.flows.envelope import Envelope
from worker.flows.find import Found, LookupFailed, NotFound, Unclear, look
from worker.flows.writing import Write, write_of

NOT_FOUND = 404


def publisher_topology(route: Publisher) -> Topology:
    return work_topology(route.queue, route.retry, route.bind, declare=route.declare)


def consumption_of(route: Publisher) -> Consumption:
    return Consumption(route.name, route.queue, route.concurrency, route.retry, f"publisher {route.name}")


class PublisherFlow:
    """The handler of one publisher's messages."""

    def __init__(self, route: Publisher, halo: Halo) -> None:
        self._route = route
        self._halo = halo

    async def handle(self, delivery: Delivery, envelope: Envelope) -> Outcome:
        """Decode, filter, transform, look up where that is needed, send. Every way ends in an `Outcome`."""
        bindings = message_bindings(self._route, delivery, envelope)
        try:
            document = decode(delivery.message.body)
            if self._route.when is not None and not self._route.when.holds(document, bindings):
                return Skipped("the route's `when`")
            shaped = document if self._route.transform is None else self._route.transform.evaluate(document, bindings)
            write = write_of(self._route, shaped, document, bindings)
            return await self._write(write, document, bindings, doubtful=envelope.doubtful)
        except ExpressionError as error:
            return Refused(DeadClass.TRANSFORM, str(error))
        except (Undecodable, RequestError) as error:
            return Refused(DeadClass.DECODE, str(error))

    async def _write(self, write: Write, document: Any, bindings: dict[str, Any], *, doubtful: bool) -> Outcome:
        request = build_request(self._route.operation, write.path, write.query, write.payload)  # a mistake in it must not cost a lookup
        find = self._route.find
        if write.creates and find is not None and write.single is not None and (doubtful or find.use == "always"):
            match await look(self._halo, find, document, bindings):
                case Found(record_id) if find.then == "update":
                    write = write.updating(record_id)
                    request = build_request(self._route.operation, write.path, write.query, write.payload)
                case Found():
                    return Done("found: it is there already")
                case Unclear(reason):
                    return Refused(DeadClass.IN_DOUBT, reason)
                case LookupFailed(exchange):
                    return failed_lookup(exchange)
                case NotFound():
                    pass
        elif write.creates and doubtful and self._route.in_doubt == "park":
            return Refused(DeadClass.IN_DOUBT, "an earlier attempt may have created it, and the route has no `find` to look it up")
        exchange = await self._halo.send(request, priority=Priority.WRITE)
        return outcome_of(exchange, write, repeatable=self._repeatable(write))

    def _repeatable(self, write: Write) -> bool:
        """Whether a doubtful attempt may be made again: updates and deletions show no second time, creates can be looked up or the route accepts copies."""
        return not write.creates or self._route.in_doubt == "repeat" or (self._route.find is not None and write.single is not None)


def outcome_of(exchange: Exchange, write: Write, *, repeatable: bool) -> Outcome:
    """What an exchange means for the message. Total over the fates."""
    status, reason = exchange.status, exchange.reason
    deletes = write.payload is None
    match exchange.fate:
        case Fate.DONE | Fate.DONE_UNREAD:
            return Done(reason or "sent", status)
        case Fate.NOT_SENT | Fate.THROTTLED:
            return Unsent(reason, status, counted=False)
        case Fate.AMBIGUOUS:
            return Doubtful(reason, repeatable or deletes, status, counted=not exchange.down)
        case Fate.REJECTED if deletes and status == NOT_FOUND:
            return Done("it was gone already", status)
        case Fate.REJECTED if write.creates > 1:
            return Refused(DeadClass.IN_DOUBT, f"{reason}; Halo may have stored some of the {write.creates} records before it refused", status)
        case Fate.REJECTED:
            return Refused(DeadClass.REJECTED, reason, status)
        case Fate.AUTH:
            return Refused(DeadClass.AUTH, reason, status)


def failed_lookup(exchange: Exchange) -> Outcome:
    """Nothing was written: look again later, unless Halo refuses the question itself."""
    match exchange.fate:
        case Fate.REJECTED:
            return Refused(DeadClass.IN_DOUBT, f"the lookup was refused: {exchange.reason}", exchange.status)
        case Fate.AUTH:
            return Refused(DeadClass.AUTH, f"the lookup was refused: {exchange.reason}", exchange.status)
        case _:
            return Unsent(
                f"the lookup failed: {exchange.reason}", exchange.status, counted=not exchange.down and exchange.fate not in {Fate.NOT_SENT, Fate.THROTTLED}
            )


def message_bindings(route: Publisher, delivery: Delivery, envelope: Envelope) -> dict[str, Any]:
    """What expressions of a publisher may name besides the message."""
    message = delivery.message
    about = {"id": message.message_id, "routing_key": envelope.routing_key, "attempt": envelope.attempts + 1}
    if message.timestamp is not None:
        about["time"] = message.timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"route": route.name, "client": route.client, "headers": dict(message.headers), "message": about}
