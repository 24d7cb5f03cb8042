"""Where the dead letters of a route are, and which queue they came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worker.config.routes import Routes
from worker.core.errors import ConfigError, Problem
from worker.core.suggest import choices
from worker.core.topology import UNROUTED, dead_queue, subscriber_dead_queue
from worker.flows.running.run_message import run_queue

UNROUTED_ROUTE = "unrouted"
"""What stands for the events that no queue took, in the place of a route."""


@dataclass(frozen=True, slots=True)
class DeadQueue:
    """One dead queue of a route. `home`: the queue that its letters came from; None for records, deliveries and events, which came from none.

    `orphaned`: of a route that the files do not have any more; it goes by the name of its queue.
    """

    route: str
    kind: Literal["publisher", "steps", "starts", "subscriber", "webhook", "unrouted", "orphaned"]
    name: str
    home: str | None = None


def dead_queues_of(routes: Routes, name: str) -> tuple[DeadQueue, ...]:
    """The dead queues of this route, or the one of this name. Raises `ConfigError` with the nearest names."""
    if publisher := routes.publishers.get(name):
        return (DeadQueue(name, "publisher", dead_queue(publisher.queue), publisher.queue),)
    if runbook := routes.runbooks.get(name):
        steps = DeadQueue(name, "steps", dead_queue(run_queue(name)), run_queue(name))
        return (steps,) if runbook.queue is None else (steps, DeadQueue(name, "starts", dead_queue(runbook.queue), runbook.queue))
    if name in routes.subscribers:
        return (DeadQueue(name, "subscriber", subscriber_dead_queue(name)),)
    if name in routes.webhooks:
        return (DeadQueue(name, "webhook", subscriber_dead_queue(name)),)
    if name in {UNROUTED_ROUTE, UNROUTED}:
        return (DeadQueue(UNROUTED_ROUTE, "unrouted", UNROUTED),)
    known = [*routes.publishers, *routes.runbooks, *routes.subscribers, *routes.webhooks]
    if name.endswith(dead_queue("")) or name.startswith(subscriber_dead_queue("")):
        named = [dead_queue for route in known for dead_queue in dead_queues_of(routes, route) if dead_queue.name == name]
        return (named[0] if named else orphaned_queue(name),)
    raise ConfigError([Problem("ROUTE", 0, 0, f"there is no route {name!r}{choices(name, [*known, UNROUTED_ROUTE])}")])


def orphaned_queue(queue: str) -> DeadQueue:
    home = queue.removesuffix(dead_queue(""))
    return DeadQueue(queue, "orphaned", queue, None if home == queue else home)
