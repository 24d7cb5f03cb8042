"""How the letters of each dead queue are settled: the wiring of a replay and of a discard."""

from __future__ import annotations

from collections.abc import Mapping

from worker.cli.dead.context import RouteContext
from worker.core.ports import Broker, Evaluator
from worker.flows.dead.dead_queues import DeadQueue
from worker.flows.dead.effects import ReplayEffects, subscriber_effects, unrouted_effects, webhook_effects
from worker.flows.dead.plan import ReplayPlanner
from worker.flows.dead.replay import ReplayThroughRoute, ReplayToQueue, SettleLetter, discard
from worker.halo.addresses import api_address


def replay_settlers(
    context: RouteContext, broker: Broker, evaluator: Evaluator, planners: Mapping[DeadQueue, ReplayPlanner]
) -> Mapping[DeadQueue, SettleLetter]:
    """What came from a queue goes back into it; of the rest today's routes decide."""
    return {
        dead_queue: ReplayThroughRoute(replay_effects(context, dead_queue, evaluator), broker, context.clock)
        if dead_queue.home is None
        else ReplayToQueue(dead_queue, dead_queue.home, planners[dead_queue], broker, context.codec)
        for dead_queue in context.dead_queues
    }


def discard_settlers(context: RouteContext) -> Mapping[DeadQueue, SettleLetter]:
    return dict.fromkeys(context.dead_queues, discard)


def replay_effects(context: RouteContext, dead_queue: DeadQueue, evaluator: Evaluator) -> ReplayEffects:
    if dead_queue.kind == "subscriber":
        route = context.routes.subscribers[dead_queue.route]
        return subscriber_effects(route, api_address(context.routes.clients[route.client]) + route.operation.path, evaluator)
    return webhook_effects(context.routes.webhooks[dead_queue.route], evaluator) if dead_queue.kind == "webhook" else unrouted_effects
