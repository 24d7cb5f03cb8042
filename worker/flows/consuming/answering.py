"""Sends the result of a message to the route's own target and to the sender's reply address, before the message leaves its queue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from worker.core.delivery_state import DeliveryState
from worker.core.errors import BrokerError, BrokerUnreachable, ChannelLost, PublishRefused, Unroutable
from worker.core.json_codec import encode
from worker.core.message import Delivery, Message
from worker.core.outcome import Outcome
from worker.core.ports import Clock
from worker.core.results import DIRECT, RESULT_TYPE, ReplyRule, ResultTarget, result_id, result_of
from worker.core.settlement import Settlement
from worker.core.spans import carrying
from worker.core.topology import Topology
from worker.metrics import Metrics

logger = structlog.get_logger()
ATTEMPTS = 3
SHOWN = 100  # characters of an address that a sender chose

Answer = Callable[[Outcome, Settlement, Delivery, DeliveryState], Awaitable[None]]
"""Sends the result of a message to its sender. Raises `ChannelLost` when the broker is lost: the broker then delivers the message again."""


async def no_answer(_: Outcome, __: Settlement, ___: Delivery, ____: DeliveryState) -> None:
    """Send nothing: for routes that send no results."""


class AnsweringBroker(Protocol):
    """The part of a broker that sending a result needs. It outlives attachments."""

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        """As `Broker.publish`. Raises `BrokerUnreachable` while there is no attachment."""
        ...

    async def declare(self, topology: Topology) -> None:
        """As `Broker.declare`."""
        ...


PublishDirectly = Callable[[Message, str], Awaitable[None]]
"""Publishes to a direct reply address. Raises `BrokerError`."""


@dataclass(frozen=True, slots=True)
class ResultSender:
    """Sends the results of one route. When the broker refuses a result, the worker logs and counts it: a result never delays its message.

    `direct` does not use the worker's own connection: an address that the sender invented could end that connection.
    """

    route: str
    target: ResultTarget | None
    rule: ReplyRule
    broker: AnsweringBroker
    direct: PublishDirectly
    clock: Clock
    metrics: Metrics

    async def send(self, outcome: Outcome, settlement: Settlement, delivery: Delivery, state: DeliveryState) -> None:
        """Publish the result, confirmed. Raises `ChannelLost`."""
        reply_to = delivery.message.reply_to
        if self.target is None and not reply_to:
            return
        body = result_of(outcome, settlement, self.route, state)
        if body is None:
            return
        now = datetime.fromtimestamp(self.clock.now(), UTC)
        number = result_id(self.route, delivery, state)
        message = carrying(Message(encode(body), message_id=number, correlation_id=state.correlation_id, type=RESULT_TYPE, timestamp=now))
        if self.target is not None:
            await self._publish(message, self.target.exchange, self.target.routing_key)
        if reply_to:
            if refusal := self.rule.refusal(reply_to):
                self._record_not_sent("refused", "", reply_to, f"no result goes to the sender's `reply_to`: {refusal}")
            elif reply_to.startswith(DIRECT):
                await self._publish_directly(message, reply_to)
            else:
                await self._publish(message, "", reply_to)

    async def _publish(self, message: Message, exchange: str, routing_key: str) -> None:
        reason = ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self.broker.publish(message, routing_key=routing_key, exchange=exchange)
            except Unroutable:
                self._record_not_sent("unrouted", exchange, routing_key, "no queue takes the result: bind one, or the sender has deleted its reply queue")
                return
            except BrokerUnreachable as error:
                raise ChannelLost(str(error)) from error
            except PublishRefused as error:
                reason = str(error)
                if attempt == ATTEMPTS or not await self._declared_again(exchange):
                    break
            except BrokerError as error:  # a channel that another publish closed, or no confirm in time
                reason = str(error)
            else:
                reason = ""
                break
        self._record_end(exchange, routing_key, reason)

    async def _publish_directly(self, message: Message, address: str) -> None:
        reason = ""
        try:
            await self.direct(message, address)
        except Unroutable:  # the broker reports a direct reply as unroutable even when it has passed it on
            pass
        except BrokerError as error:
            reason = str(error)
        self._record_end("", address, reason)

    def _record_end(self, exchange: str, routing_key: str, reason: str) -> None:
        if reason:
            self._record_not_sent("failed", exchange, routing_key, reason)
        else:
            self.metrics.results.labels(self.route, "sent").inc()

    async def _declared_again(self, exchange: str) -> bool:
        """Whether the route's exchange, which may have been deleted, is there again."""
        if self.target is None or exchange != self.target.exchange:
            return False
        try:
            await self.broker.declare(self.target.topology)
        except BrokerError as error:
            logger.error("topology.not_restored", route=self.route, reason=str(error))
            return False
        return True

    def _record_not_sent(self, result: str, exchange: str, routing_key: str, reason: str) -> None:
        self.metrics.results.labels(self.route, result).inc()
        logger.warning("result.not_sent", exchange=exchange, routing_key=routing_key[:SHOWN], reason=reason)
