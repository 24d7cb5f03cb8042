"""What a delivery to a webhook, or to a runbook's endpoint, brings about: once, and only reported when all of it is safe in the broker.

The order makes that so: who begins a delivery claims it, publishes everything, and then claims it as delivered. A copy that comes meanwhile waits for the latter;
where it does not come (the first one crashed, or the broker was lost), the copy does the work again, under the same run id and dedupe key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog

from worker.config.automation import Webhook
from worker.core.errors import ChannelLost, ExpressionError, Unroutable
from worker.core.message import Message
from worker.core.ports import Broker, Claim, Claims, Clock
from worker.core.topology import UNROUTED
from worker.flows.hook_effects import Effect, effects_of, identity_of, parked, wanted
from worker.flows.run_message import run_id_of, run_queue, start_message
from worker.metrics import Metrics

logger = structlog.get_logger()
PATIENCE = 2.0  # seconds that a copy waits for the first one to end


@dataclass(frozen=True, slots=True)
class Desk:
    """One broker attachment, and the claims through it."""

    broker: Broker
    claims: Claims


class Reception:
    """Takes deliveries in while a desk is open. `path` is `/webhooks/<name>` or `/runbooks/<name>`."""

    def __init__(self, webhooks: Mapping[str, Webhook], clock: Clock, metrics: Metrics) -> None:
        self._webhooks = {f"/webhooks/{name}": webhook for name, webhook in webhooks.items()}
        self._clock = clock
        self._metrics = metrics
        self._desk: Desk | None = None

    @contextmanager
    def open(self, broker: Broker, claims: Claims) -> Iterator[None]:
        """Take deliveries through this attachment until the end of the block."""
        self._desk = Desk(broker, claims)
        try:
            yield
        finally:
            self._desk = None

    async def receive(self, path: str, documents: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Take them in one after the other; returns when all of them are safe. Raises `BrokerError`: those that were not reached are to be sent again."""
        results: Counter[str] = Counter()
        runs = []
        for document in documents:
            if self._desk is None or self._desk.broker.lost:
                raise ChannelLost("the broker is away")
            result, run = await self._take(self._desk, path, document)
            results[result] += 1
            if run:
                runs.append(run)
        return {**results, "runs": runs}

    async def _take(self, desk: Desk, path: str, document: dict[str, Any]) -> tuple[str, str | None]:
        """What became of one delivery, and the run that it started, now or before."""
        route = path.rpartition("/")[2]
        hook = self._webhooks.get(path)
        delivery, result, run = uuid4().hex, "accepted", None
        try:
            delivery = run_id_of(path, identity_of(hook, document))
            if hook is None:
                effects = [Effect(start_message(route, delivery, document), run_queue(route))]
            elif not wanted(hook, document):
                result, effects = "skipped", []
            else:
                effects = effects_of(hook, document, delivery, self._clock.now())
        except ExpressionError as error:
            logger.warning("delivery.parked", route=route, reason=str(error))
            result, effects = "parked", [parked(route, document, str(error), self._clock.now())]
        if effects and not await self._once(desk, delivery, effects):
            result = "known"
        if result in {"accepted", "known"} and (hook is None or hook.runbook is not None):
            run = delivery
        self._metrics.deliveries.labels(route, result).inc()
        logger.info("delivery.received", route=route, delivery=delivery, result=result)
        return result, run

    async def _once(self, desk: Desk, delivery: str, effects: Sequence[Effect]) -> bool:
        """False when it was done before."""
        attempt = uuid4().hex
        begun, done = f"delivery:{delivery}", f"delivered:{delivery}"
        if await desk.claims.claim(begun, attempt) is not Claim.WON and await desk.claims.seen(done, within=PATIENCE):
            return False
        for effect in effects:
            await self._publish(desk.broker, effect)
        await desk.claims.claim(done, attempt)
        return True

    async def _publish(self, broker: Broker, effect: Effect) -> None:
        try:
            await broker.publish(effect.message, routing_key=effect.routing_key, exchange=effect.exchange)
        except Unroutable:
            if not effect.exchange:
                raise
            origin = {"original-exchange": effect.exchange, "original-routing-key": effect.routing_key}
            await broker.publish(Message(effect.message.body, dict(effect.message.headers) | origin), routing_key=UNROUTED)
