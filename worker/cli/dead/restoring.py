"""How the letters of each dead queue are settled: the wiring of a replay and of a discard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from worker.cli.dead.scene import Scene
from worker.core.ports import Broker
from worker.core.topology import claims_topology
from worker.flows.dead.boxes import Box
from worker.flows.dead.effects import Effects, delivery_again, event_again, through_its_exchange
from worker.flows.dead.plan import Planner
from worker.flows.dead.replaying import ByItsRoute, Settled, ToItsQueue, discarded
from worker.halo.addresses import api_address
from worker.state.claims import open_claims


@asynccontextmanager
async def opened_replay(scene: Scene, broker: Broker, planners: Mapping[Box, Planner]) -> AsyncIterator[Mapping[Box, Settled]]:
    """Only letters that go back into a queue are claimed: what the others bring about is known by its dedupe key or its run."""
    homes = {box: box.home for box in scene.boxes if box.home is not None}
    if not homes:
        yield {box: ByItsRoute(effects_of(scene, box), broker, scene.clock) for box in scene.boxes}
        return
    await broker.declare(claims_topology())
    async with open_claims(broker, scene.clock) as claims:
        yield {box: ToItsQueue(box, home, planners[box], broker, claims) for box, home in homes.items()}


@asynccontextmanager
async def opened_discard(scene: Scene, _: Broker) -> AsyncIterator[Mapping[Box, Settled]]:
    yield dict.fromkeys(scene.boxes, discarded)


def effects_of(scene: Scene, box: Box) -> Effects:
    if box.kind == "subscriber":
        route = scene.routes.subscribers[box.route]
        return event_again(route, api_address(scene.routes.clients[route.client]) + route.operation.path)
    return delivery_again(scene.routes.webhooks[box.route]) if box.kind == "webhook" else through_its_exchange
