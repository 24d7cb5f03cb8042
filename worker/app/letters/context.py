"""The dead queues of one route or of all, and the objects that an operator's work on them needs."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from worker.app.route_evaluator import open_route_evaluator
from worker.config.routes import Routes
from worker.core.errors import QueueMissing
from worker.core.header_codec import HeaderCodec
from worker.core.ports import Broker, Clock, Evaluator
from worker.flows.dead.letter import DeadQueue
from worker.settings import Settings


@dataclass(frozen=True, slots=True)
class LettersContext:
    """The dead queues of one route, or of all."""

    settings: Settings
    routes: Routes
    dead_queues: tuple[DeadQueue, ...]
    clock: Clock
    codec: HeaderCodec = field(default_factory=HeaderCodec)
    """Gets its key when a broker is attached."""

    @property
    def route(self) -> str:
        return self.dead_queues[0].route

    def evaluator(self) -> AbstractAsyncContextManager[Evaluator]:
        """Return an evaluator. It starts its processes with the first expression, and asks Halo only when an expression does."""
        route = self.routes.subscribers.get(self.route)
        return open_route_evaluator(self.routes, self.settings, route.client if route is not None else None, self.clock)

    async def depth(self, broker: Broker) -> int:
        """Return the number of letters in all dead queues. Raises `QueueMissing` if an orphaned queue does not exist."""
        depths = {dead_queue: await broker.queue_depth(dead_queue.name) for dead_queue in self.dead_queues}
        for dead_queue, depth in depths.items():
            if depth is None and dead_queue.kind == "orphaned":
                raise QueueMissing(f"there is no queue {dead_queue.name!r}, and no route has a dead queue of this name")
        return sum(depth or 0 for depth in depths.values())
