"""Pauses and resumes known routes, and says so in words: for the commands and the status page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce

from worker.core.errors import WorkerError
from worker.core.pauses import Pauses, pause_sentence
from worker.core.route_names import routes_of_name
from worker.core.suggest import choices

MEANS = {
    "publisher": "its messages wait in their queue",
    "subscriber": "it polls nothing, and finds what changed meanwhile once it is resumed",
    "runbook": "runs stop before their next step, and new runs wait",
    "webhook": "its deliveries are stored and wait",
}


class UnknownRoute(WorkerError):
    """Neither a replica nor a route file has a route of this name, and none is paused."""


def for_known_routes(name: str, kinds: Mapping[str, str], change: Callable[[Pauses, str], Pauses]) -> Callable[[Pauses], Pauses]:
    """Return the change for every route that the name matches. `kinds`: of the known routes, by name.

    The change raises `UnknownRoute` if no such route is known or paused.
    """

    def checked(pauses: Pauses) -> Pauses:
        routes = routes_of_name(name, [*kinds, *pauses.routes])
        if not routes:
            raise UnknownRoute(f"there is no route {name!r}{choices(name, kinds, none='; no replica reports any, and the route files here have none')}")
        return reduce(change, routes, pauses)

    return checked


def change_sentence(name: str, kind: str, before: Pauses, after: Pauses, *, paused: bool) -> str:
    if before.routes.get(name) == after.routes.get(name):
        return f"{name}: nothing to do, it is {pause_sentence(before.routes[name]) if paused else 'not paused'}"
    if not paused:
        return f"{name}: resumed on all replicas"
    return f"{name}: paused on all replicas until `halo-worker resume {name}`; what is in flight ends, {MEANS.get(kind, 'and nothing new begins')}"
