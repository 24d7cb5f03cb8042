"""A publisher: a message becomes one POST or DELETE of Halo, at most once as far as can be known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any

from worker.catalogue.errors import RequestError
from worker.config.routes import Publisher
from worker.core.delivery_state import DeliveryState
from worker.core.errors import BrokerError, EvaluatorUnavailable, ExpressionError, Undecodable
from worker.core.exchange import Priority
from worker.core.jsontext import decode
from worker.core.message import Delivery
from worker.core.outcome import DeadClass, Outcome, Refused, Skipped, Unsent, marked
from worker.core.ports import Claims, Clock, Evaluator, Halo
from worker.core.settlement import Bury, settle
from worker.core.topology import Topology, work_topology
from worker.flows.consuming.consumer import Consumption
from worker.flows.evaluating import unevaluated
from worker.flows.writes.fence import PAUSE, Fence
from worker.flows.writes.inbox import Inbox
from worker.flows.writes.once import Once
from worker.flows.writes.writing import write_of


def publisher_topology(route: Publisher) -> Topology:
    return work_topology(route.queue, route.retry, route.bind, declare=route.declare)


def consumption_of(route: Publisher) -> Consumption:
    return Consumption(route.name, route.queue, route.concurrency, route.retry, f"publisher {route.name}", route.declare)


class PublisherFlow:
    """The handler of one publisher's messages."""

    def __init__(self, route: Publisher, halo: Halo, claims: Claims, evaluator: Evaluator, clock: Clock) -> None:
        self._route = route
        self._evaluator = evaluator
        self._clock = clock
        self._inbox = None if route.once is None else Inbox(route.name, route.once, claims, evaluator)
        self._fence = Fence(route.name, claims, clock)
        self._once = Once(halo, evaluator, route.operation, route.find, route.in_doubt, Priority.WRITE, every=route.order_by is not None)

    async def handle(self, delivery: Delivery, envelope: DeliveryState) -> Outcome:
        """Decode, filter, transform, look up where that is needed, send. Every way ends in an `Outcome`."""
        bindings = message_bindings(self._route, delivery, envelope)
        try:
            document = decode(delivery.message.body)
            if self._route.when is not None and not await self._route.when.holds(document, bindings, self._evaluator):
                return Skipped("the route's `when`")
            key = None if self._inbox is None else await self._inbox.key_of(document, bindings)
        except ExpressionError as error:
            return Refused(DeadClass.TRANSFORM, str(error))
        except Undecodable as error:
            return Refused(DeadClass.DECODE, str(error))
        if self._inbox is None or key is None:
            return await self._written(document, bindings, delivery, envelope)
        return await self._taken(self._inbox, key, document, bindings, delivery, envelope)

    async def _taken(self, inbox: Inbox, key: str, document: Any, bindings: dict[str, Any], delivery: Delivery, envelope: DeliveryState) -> Outcome:
        """As `_written`, unless the key is somebody else's."""
        if not key:
            return Refused(DeadClass.TRANSFORM, "`once` yields nothing for this message: whether it was sent before cannot be told")
        try:
            number = await inbox.holder(key, delivery, envelope)
        except BrokerError as error:
            await self._clock.sleep(PAUSE)
            return Unsent(f"the key of `once` could not be claimed: {error}", counted=False)
        if number is None:
            return Skipped("a copy: another message has its `once` key")
        outcome = marked(await self._written(document, bindings, delivery, replace(envelope, holder=number)), {"holder": number})
        if isinstance(settle(outcome, attempts=envelope.attempts, doubtful=envelope.doubtful, delays=self._route.retry), Bury):
            await inbox.buried(key, number, envelope)
        return outcome

    async def _written(self, document: Any, bindings: dict[str, Any], delivery: Delivery, envelope: DeliveryState) -> Outcome:
        attempt = self._fence.attempt(delivery, envelope, self._route.retry, remembered=envelope.remembered, holder=envelope.holder)
        try:
            shaped = document if self._route.transform is None else await self._route.transform.evaluate(document, bindings, self._evaluator)
            write = await write_of(self._route, shaped, document, bindings, self._evaluator)
            return await self._once.write(write, document, bindings, attempt)
        except EvaluatorUnavailable as error:
            return unevaluated(error)
        except ExpressionError as error:
            return Refused(DeadClass.TRANSFORM, str(error))
        except (Undecodable, RequestError) as error:
            return Refused(DeadClass.DECODE, str(error))


def message_bindings(route: Publisher, delivery: Delivery, envelope: DeliveryState) -> dict[str, Any]:
    """What expressions of a publisher may name besides the message."""
    message = delivery.message
    about = {"id": message.message_id, "routing_key": envelope.routing_key, "attempt": envelope.attempts + 1}
    if message.timestamp is not None:
        about["time"] = message.timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"route": route.name, "client": route.client, "headers": dict(envelope.headers), "message": about}
