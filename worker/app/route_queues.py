"""Where the messages of each route wait: its kind, its queues and its dead queues, for counting."""

from __future__ import annotations

from dataclasses import dataclass

from worker.config.routes import Routes
from worker.core.topology import dead_queue, held_queue, order_queue, subscriber_dead_queue
from worker.flows.running.run_message import run_queue


@dataclass(frozen=True, slots=True)
class RouteQueues:
    """The queues of one route. `queues`: hold the route's work. A subscriber has none: its events are for others."""

    name: str
    kind: str
    queues: tuple[str, ...]
    dead: tuple[str, ...]

    @property
    def has_waiting_queue(self) -> bool:
        """Whether the route is a publisher whose messages wait in their own queue: while it pauses or takes over, no counter includes them."""
        return self.kind == "publisher" and len(self.queues) > 1


def queues_by_route(routes: Routes) -> list[RouteQueues]:
    """Return the places of all routes, in the order of kinds, then of names."""
    found = [RouteQueues(name, "subscriber", (), (subscriber_dead_queue(name),)) for name in sorted(routes.subscribers)]
    for name, route in sorted(routes.publishers.items()):
        waiting = (order_queue(route.queue),) if route.has_waiting_queue else ()
        found.append(RouteQueues(name, "publisher", (route.queue, *waiting), (dead_queue(route.queue),)))
    for name, runbook in sorted(routes.runbooks.items()):
        queues = (run_queue(name), *([runbook.queue] if runbook.queue else []))
        found.append(RouteQueues(name, "runbook", queues, tuple(map(dead_queue, queues))))
    return found + [RouteQueues(name, "webhook", (held_queue(name),), (subscriber_dead_queue(name),)) for name in sorted(routes.webhooks)]
