"""The shape of the routes: the parts that a worker builds once for all routes, as a value.

While the shape stays the same, the worker replaces changed routes, integrations and tables one by one.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from worker.app.clients import used_clients
from worker.config.automation import Runbook
from worker.config.routes import FILES, Routes
from worker.core.results import matches
from worker.core.route_names import defined_name
from worker.core.topology import dead_queue, order_queue
from worker.flows.echoes.guard import guarded_resources


def shared_parts_of(routes: Routes) -> Hashable:
    """Return the shape: clients in use, whose writes are recorded, which shared queues are served, which queues no reply may go to, how memory is divided."""
    clients = sorted(set(used_clients(routes)))
    shared = tuple(routes.sources.get(name, "") for name in clients)
    tenants = tuple(sorted((name, repr(client)) for name, client in routes.clients.items()))  # clients of one tenant share its budget
    takes = bool(routes.publishers or routes.runbooks)
    ordered_routes = sum(publisher.has_waiting_queue for publisher in routes.publishers.values())
    return (
        shared,
        tenants,
        tuple(sorted((name, tuple(sorted(spaces))) for name, spaces in guarded_resources(routes).items())),
        takes,
        bool(routes.webhooks),
        ordered_routes,
        queues_closed_to_replies(routes),
    )


def queues_closed_to_replies(routes: Routes) -> frozenset[str]:
    """Return the queues of routes that match a pattern of `reply_to`: every route that answers has to know them."""
    patterns = {pattern for publisher in routes.publishers.values() for pattern in publisher.reply_to}
    return frozenset(queue for queue in queues_of(routes) if any(matches(pattern, queue) for pattern in patterns))


def queues_of(routes: Routes) -> set[str]:
    """Return every queue of the routes, with the queues beside it."""
    work = [publisher.queue for publisher in routes.publishers.values()] + [runbook.queue for runbook in routes.runbooks.values() if runbook.queue]
    beside = [name for queue in work for name in (dead_queue(queue), order_queue(queue))]
    return {*work, *beside, *(route.queue for route in routes.subscribers.values() if route.queue)}


def changed_names(before: Routes, after: Routes) -> set[str]:
    """Return the routes that are new, removed or different.

    A changed webhook also counts for the subscribers that it wakes, a changed subscriber for its webhooks, and changed methods for the runbooks that call them.
    """
    old, new = sources_of(before), sources_of(after)
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    others = {name for name in {*before.integrations, *after.integrations} if before.sources.get(name) != after.sources.get(name)}
    changed |= {name for routes in (before, after) for name, book in routes.runbooks.items() if others & integrations_of(book)}
    changed |= {name for routes in (before, after) for name, hook in routes.webhooks.items() if hook.wake is not None and hook.wake.subscriber in changed}
    hooks = [hook for routes in (before, after) for name, hook in routes.webhooks.items() if name in changed]
    return changed | {hook.wake.subscriber for hook in hooks if hook.wake is not None}


def integrations_of(runbook: Runbook) -> set[str]:
    return {step.method.integration for step in runbook.steps.values() if step.method is not None}


def replaceable_parts_changed(before: Routes, after: Routes) -> bool:
    """Whether integrations, their customers and credentials, or tables differ: the worker replaces them separately from the routes."""
    return any(before.sources.get(name) != after.sources.get(name) for name in {FILES, *before.integrations, *after.integrations})


def sources_of(routes: Routes) -> Mapping[str, str | None]:
    """Return the text of each route's definition."""
    return {name: routes.sources.get(defined_name(name)) for name in route_names(routes)}


def route_names(routes: Routes) -> set[str]:
    return {*routes.subscribers, *routes.publishers, *routes.runbooks, *routes.webhooks}
