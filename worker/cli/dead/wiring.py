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


def replay_settlers(scene: RouteContext, broker: Broker, evaluator: Evaluator, planners: Mapping[DeadQueue, ReplayPlanner]) -> Mapping[DeadQueue, SettleLetter]:
    """What came from a queue goes back into it; of the rest today's routes decide."""
    return {
        box: ReplayThroughRoute(replay_effects(scene, box, evaluator), broker, scene.clock)
        if box.home is None
        else ReplayToQueue(box, box.home, planners[box], broker, scene.codec)
        for box in scene.boxes
    }


def discard_settlers(scene: RouteContext) -> Mapping[DeadQueue, SettleLetter]:
    return dict.fromkeys(scene.boxes, discard)


def replay_effects(scene: RouteContext, box: DeadQueue, evaluator: Evaluator) -> ReplayEffects:
    if box.kind == "subscriber":
        route = scene.routes.subscribers[box.route]
        return subscriber_effects(route, api_address(scene.routes.clients[route.client]) + route.operation.path, evaluator)
    return webhook_effects(scene.routes.webhooks[box.route], evaluator) if box.kind == "webhook" else unrouted_effects
