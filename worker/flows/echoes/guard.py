"""Which records need the echo guard: those that these routes both write and watch, on the same client. All replicas have the same routes and come to the same end."""

from __future__ import annotations

from collections.abc import Iterator

from worker.catalogue.catalogue import load
from worker.catalogue.operation import Operation
from worker.config.routes import Routes, Subscriber

DETAIL = "/{id}"


def guarded(routes: Routes) -> dict[str, frozenset[str]]:
    """By client: the resources (first path segments in lower case) of which a subscriber is not to hear what a publisher or runbook wrote."""
    both = set(written(routes)) & {(route.client, route.operation.resource) for route in routes.subscribers.values() if minds(route)}
    return {client: frozenset(resource for other, resource in both if other == client) for client in {client for client, _ in both}}


def minds(route: Subscriber) -> bool:
    """Whether it may be kept from hearing our own writes; one that publishes every record at every poll tells of no changes."""
    return not route.echo and route.changes != "all" and is_plain(route.operation)


def written(routes: Routes) -> Iterator[tuple[str, str]]:
    for publisher in routes.publishers.values():
        if is_plain(publisher.operation):
            yield publisher.client, publisher.operation.resource
    catalogue = load()
    for runbook in routes.runbooks.values():
        for step in runbook.steps.values():
            if step.action is None or step.client is None or step.action.method == "GET":
                continue
            operation = catalogue.find(step.action.entity, step.action.method)
            if is_plain(operation):
                yield step.client, operation.resource


def is_plain(operation: Operation) -> bool:
    """Whether it is about the records of a list themselves: `/Tickets`, or `/Tickets/{id}`."""
    return operation.path.removesuffix(DETAIL).count("/") == 1
