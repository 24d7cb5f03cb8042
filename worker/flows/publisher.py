"""A publisher: a message becomes one POST or DELETE of Halo, at most once as far as can be known."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from worker.catalogue.errors import RequestError
from worker.config.routes import Publisher
from worker.core.errors import ExpressionError, Undecodable
from worker.core.exchange import Priority
from worker.core.jsontext import decode
from worker.core.message import Delivery
from worker.core.outcome import DeadClass, Outcome, Refused, Skipped
from worker.core.ports import Claims, Clock, Halo
from worker.core.topology import Topology, work_topology
from worker.flows.consumer import Consumption
from worker.flows.envelope import Envelope
from worker.flows.fence import Fence
from worker.flows.once import Once
from worker.flows.writing import write_of


def publisher_topology(route: Publisher) -> Topology:
    return work_topology(route.queue, route.retry, route.bind, declare=route.declare)


def consumption_of(route: Publisher) -> Consumption:
    return Consumption(route.name, route.queue, route.concurrency, route.retry, f"publisher {route.name}")


class PublisherFlow:
    """The handler of one publisher's messages."""

    def __init__(self, route: Publisher, halo: Halo, claims: Claims, clock: Clock) -> None:
        self._route = route
        self._fence = Fence(route.name, claims, clock)
        self._once = Once(halo, route.operation, route.find, route.in_doubt, Priority.WRITE, every=route.order_by is not None)

    async def handle(self, delivery: Delivery, envelope: Envelope) -> Outcome:
        """Decode, filter, transform, look up where that is needed, send. Every way ends in an `Outcome`."""
        bindings = message_bindings(self._route, delivery, envelope)
        try:
            document = decode(delivery.message.body)
            if self._route.when is not None and not self._route.when.holds(document, bindings):
                return Skipped("the route's `when`")
            shaped = document if self._route.transform is None else self._route.transform.evaluate(document, bindings)
            write = write_of(self._route, shaped, document, bindings)
            attempt = self._fence.attempt(delivery, envelope, self._route.retry, remembered=envelope.remembered)
            return await self._once.write(write, document, bindings, attempt)
        except ExpressionError as error:
            return Refused(DeadClass.TRANSFORM, str(error))
        except (Undecodable, RequestError) as error:
            return Refused(DeadClass.DECODE, str(error))


def message_bindings(route: Publisher, delivery: Delivery, envelope: Envelope) -> dict[str, Any]:
    """What expressions of a publisher may name besides the message."""
    message = delivery.message
    about = {"id": message.message_id, "routing_key": envelope.routing_key, "attempt": envelope.attempts + 1}
    if message.timestamp is not None:
        about["time"] = message.timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"route": route.name, "client": route.client, "headers": dict(message.headers), "message": about}
