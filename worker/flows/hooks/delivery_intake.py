"""What a delivery to a webhook, or to a runbook's endpoint, brings about: once, and only reported when all of it is safe in the broker.

The order makes that so: who begins a delivery claims it, publishes everything, and then claims it as delivered. A copy that comes meanwhile waits for the latter;
where it does not come (the first one crashed, or the broker was lost), the copy does the work again, under the same run id and dedupe key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

import structlog

from worker.config.automation import Webhook
from worker.core.errors import ExpressionError, Unroutable
from worker.core.ledger import Claim, Ledger, delivered_key, delivery_key
from worker.core.message import Message
from worker.core.ports import Clock, Evaluator
from worker.core.topology import UNROUTED
from worker.flows.hooks.effects import Effect, delivery_effects, delivery_identity, parked_delivery, passes_filter
from worker.flows.polling.events import unrouted_headers
from worker.flows.running.run_message import run_id_of, run_queue, start_message
from worker.metrics import Metrics

logger = structlog.get_logger()
COPY_WAIT = 2.0  # seconds that a copy waits for the first one to end


class Outlet(Ledger, Protocol):
    """The broker attachment of the moment and the claims through it; every call raises `BrokerError` at once while there is none."""

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        """As `Broker.publish`."""
        ...


class DeliveryIntake:
    """Takes deliveries in. `path` is `/webhooks/<name>` or `/runbooks/<name>`."""

    def __init__(self, webhooks: Mapping[str, Webhook], outlet: Outlet, evaluator: Evaluator, clock: Clock, metrics: Metrics) -> None:
        self._webhooks = {f"/webhooks/{name}": webhook for name, webhook in webhooks.items()}
        self._outlet = outlet
        self._evaluator = evaluator
        self._clock = clock
        self._metrics = metrics

    async def receive(self, path: str, documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Take them in one after the other; returns when all of them are safe. Raises `BrokerError`, `EvaluatorUnavailable`: those that were not reached are to be sent again."""
        results: Counter[str] = Counter()
        runs = []
        for document in documents:
            result, run = await self._take(path, document)
            results[result] += 1
            if run:
                runs.append(run)
        return {**results, "runs": runs}

    async def _take(self, path: str, document: dict[str, Any]) -> tuple[str, str | None]:
        """What became of one delivery, and the run that it started, now or before."""
        route = path.rpartition("/")[2]
        hook = self._webhooks.get(path)
        delivery, result, run = uuid4().hex, "accepted", None
        try:
            delivery = run_id_of(path, await delivery_identity(hook, document, self._evaluator))
            if hook is None:
                effects = [Effect(start_message(route, delivery, document), run_queue(route))]
            elif not await passes_filter(hook, document, self._evaluator):
                result, effects = "skipped", []
            else:
                effects = await delivery_effects(hook, document, delivery, self._clock.now(), self._evaluator)
        except ExpressionError as error:
            logger.warning("delivery.parked", route=route, reason=str(error))
            result, effects = "parked", [parked_delivery(route, document, str(error), self._clock.now())]
        if effects and not await self._once(route, delivery, effects):
            result = "known"
        if result in {"accepted", "known"} and (hook is None or hook.runbook is not None):
            run = delivery
        self._metrics.deliveries.labels(route, result).inc()
        logger.info("delivery.received", route=route, delivery=delivery, result=result)
        return result, run

    async def _once(self, route: str, delivery: str, effects: Sequence[Effect]) -> bool:
        """False when it was done before."""
        attempt = uuid4().hex
        begun, done = delivery_key(delivery), delivered_key(delivery)
        if await self._outlet.claim(begun, attempt) is not Claim.WON and await self._outlet.knows(done, within=COPY_WAIT):
            return False
        for effect in effects:
            await self._publish(route, effect)
        await self._outlet.claim(done, attempt)
        return True

    async def _publish(self, route: str, effect: Effect) -> None:
        try:
            await self._outlet.publish(effect.message, routing_key=effect.routing_key, exchange=effect.exchange)
        except Unroutable:
            if not effect.exchange:
                raise
            headers = unrouted_headers(effect.exchange, effect.routing_key, route, effect.message.headers)
            await self._outlet.publish(Message(effect.message.body, headers), routing_key=UNROUTED)
