"""Accepts deliveries to webhooks and to the endpoints of runbooks: publishes their effects once, and answers when the broker has confirmed all of them.

The first copy of a delivery claims its begin, publishes everything, and then claims its end. A second copy waits for the claim of the end.
Without it (the first copy crashed, or the broker was lost), the second copy publishes again, with the same run id and dedupe key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from worker.config.automation import Webhook
from worker.core.entropy import new_id
from worker.core.errors import ExpressionError, Unroutable
from worker.core.json_codec import encode
from worker.core.ledger import Claim, Ledger, delivered_key, delivery_key
from worker.core.message import Message
from worker.core.ports import Clock, Evaluator
from worker.core.topology import UNROUTED, held_queue
from worker.flows.hooks.effects import Effect, delivery_effects, delivery_identity, parked_delivery, passes_filter
from worker.flows.polling.events import unrouted_headers
from worker.flows.running.run_message import run_id_of, run_queue, start_message
from worker.metrics import Metrics

logger = structlog.get_logger()
COPY_WAIT = 2.0  # seconds that a second copy waits for the first one


class IntakeBroker(Ledger, Protocol):
    """The current broker connection and its claims. Without a connection every call raises `BrokerError` at once."""

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        """As `Broker.publish`."""
        ...


class DeliveryIntake:
    """Accepts deliveries. `path`: `/webhooks/<name>` or `/runbooks/<name>`. `is_paused`: whether the deliveries of a webhook are to wait."""

    def __init__(
        self,
        webhooks: Mapping[str, Webhook],
        broker: IntakeBroker,
        evaluator: Evaluator,
        clock: Clock,
        metrics: Metrics,
        is_paused: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._is_paused = is_paused
        self.replace(webhooks)
        self._broker = broker
        self._evaluator = evaluator
        self._clock = clock
        self._metrics = metrics

    def replace(self, webhooks: Mapping[str, Webhook]) -> None:
        """Accept by these definitions from now on."""
        self._webhooks = {f"/webhooks/{name}": webhook for name, webhook in webhooks.items()}

    async def receive(self, path: str, documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Accept the documents in order; return counts by result, and run ids.

        Raises `BrokerError`, `EvaluatorUnavailable`: the sender must then send all of them again.
        """
        results: Counter[str] = Counter()
        runs = []
        for document in documents:
            result, run = await self.accept(path, document, held=True)
            results[result] += 1
            if run:
                runs.append(run)
        return {**results, "runs": runs}

    async def accept(self, path: str, document: dict[str, Any], *, held: bool) -> tuple[str, str | None]:
        """Accept one delivery; return its result, and the id of the run that this copy or an earlier one started.

        `held`: the worker stores the delivery while its webhook is paused.
        """
        route = path.rpartition("/")[2]
        hook = self._webhooks.get(path)
        if held and hook is not None and self._is_paused(route):
            await self._broker.publish(Message(encode(document), message_id=new_id()), routing_key=held_queue(route))
            self._log_result(route, "", "held")
            return "held", None
        delivery, result, run = new_id(), "accepted", None
        try:
            delivery = run_id_of(path, await delivery_identity(hook, document, self._evaluator))
            if hook is None:
                effects = [Effect(start_message(route, delivery, document, self._clock.now()), run_queue(route))]
            elif not await passes_filter(hook, document, self._evaluator):
                result, effects = "skipped", []
            else:
                effects = await delivery_effects(hook, document, delivery, self._clock.now(), self._evaluator)
        except ExpressionError as error:
            logger.warning("delivery.parked", route=route, reason=str(error))
            result, effects = "parked", [parked_delivery(route, document, str(error), self._clock.now())]
        if effects and not await self._publish_once(route, delivery, effects):
            result = "known"
        if result in {"accepted", "known"} and (hook is None or hook.runbook is not None):
            run = delivery
        self._log_result(route, delivery, result)
        return result, run

    async def park(self, route: str, document: dict[str, Any], reason: str) -> None:
        """Make a dead letter of a stored delivery that cannot have its effects."""
        logger.warning("delivery.parked", route=route, reason=reason)
        await self._publish(route, parked_delivery(route, document, reason, self._clock.now()))
        self._log_result(route, "", "parked")

    def _log_result(self, route: str, delivery: str, result: str) -> None:
        self._metrics.deliveries.labels(route, result).inc()
        logger.info("delivery.received", route=route, delivery=delivery, result=result)

    async def _publish_once(self, route: str, delivery: str, effects: Sequence[Effect]) -> bool:
        """Publish the effects. False if an earlier copy published them."""
        attempt = new_id()
        begun, done = delivery_key(delivery), delivered_key(delivery)
        if await self._broker.claim(begun, attempt) is not Claim.WON and await self._broker.knows(done, within=COPY_WAIT):
            return False
        for effect in effects:
            await self._publish(route, effect)
        await self._broker.claim(done, attempt)
        return True

    async def _publish(self, route: str, effect: Effect) -> None:
        try:
            await self._broker.publish(effect.message, routing_key=effect.routing_key, exchange=effect.exchange)
        except Unroutable:
            if not effect.exchange:
                raise
            headers = unrouted_headers(effect.exchange, effect.routing_key, route, effect.message.headers)
            await self._broker.publish(Message(effect.message.body, headers), routing_key=UNROUTED)
