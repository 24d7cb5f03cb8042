"""How the letters of each dead queue are settled: the wiring of a replay and of a discard."""

from __future__ import annotations

from collections.abc import Mapping

from worker.cli.dead.scene import Scene
from worker.core.ports import Broker, Evaluator
from worker.flows.dead.boxes import Box
from worker.flows.dead.effects import Effects, delivery_again, event_again, through_its_exchange
from worker.flows.dead.plan import Planner
from worker.flows.dead.replaying import ByItsRoute, Settled, ToItsQueue, discarded
from worker.halo.addresses import api_address


def replaying(scene: Scene, broker: Broker, evaluator: Evaluator, planners: Mapping[Box, Planner]) -> Mapping[Box, Settled]:
    """What came from a queue goes back into it; of the rest today's routes decide."""
    return {
        box: ByItsRoute(effects_of(scene, box, evaluator), broker, scene.clock)
        if box.home is None
        else ToItsQueue(box, box.home, planners[box], broker, scene.codec)
        for box in scene.boxes
    }


def discarding(scene: Scene) -> Mapping[Box, Settled]:
    return dict.fromkeys(scene.boxes, discarded)


def effects_of(scene: Scene, box: Box, evaluator: Evaluator) -> Effects:
    if box.kind == "subscriber":
        route = scene.routes.subscribers[box.route]
        return event_again(route, api_address(scene.routes.clients[route.client]) + route.operation.path, evaluator)
    return delivery_again(scene.routes.webhooks[box.route], evaluator) if box.kind == "webhook" else through_its_exchange
