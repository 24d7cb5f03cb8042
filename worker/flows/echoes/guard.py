"""Decides which records need the echo guard: those that the routes both write and subscribe to, on the same client. All replicas have the same routes."""

from __future__ import annotations

from collections.abc import Iterator

from worker.catalogue.catalogue import load
from worker.catalogue.operation import Operation
from worker.config.routes import Routes, Subscriber

DETAIL = "/{id}"


def guarded_resources(routes: Routes) -> dict[str, frozenset[str]]:
    """Return, by client, the id spaces (first path segment, lower case) that a publisher or runbook writes and a subscriber filters."""
    both = set(written_resources(routes)) & {(route.client, route.operation.id_space) for route in routes.subscribers.values() if drops_echoes(route)}
    return {client: frozenset(space for other, space in both if other == client) for client in {client for client, _ in both}}


def drops_echoes(route: Subscriber) -> bool:
    """Whether the subscriber drops echoes.

    A subscriber with `changes: all` publishes every record at every poll; the rows of a report have no stamp of the API.
    """
    return not route.echo and route.changes != "all" and route.report is None and is_about_records(route.operation)


def written_resources(routes: Routes) -> Iterator[tuple[str, str]]:
    for publisher in routes.publishers.values():
        if is_about_records(publisher.operation):
            yield publisher.client, publisher.operation.id_space
    catalogue = load()
    for runbook in routes.runbooks.values():
        for step in runbook.steps.values():
            if step.action is None or step.client is None or step.action.method == "GET":
                continue
            operation = catalogue.find(step.action.entity, step.action.method)
            if is_about_records(operation):
                yield step.client, operation.id_space


def is_about_records(operation: Operation) -> bool:
    """Whether the operation is about the records of a list: `/Tickets` or `/Tickets/{id}`."""
    return operation.path.removesuffix(DETAIL).count("/") == 1
