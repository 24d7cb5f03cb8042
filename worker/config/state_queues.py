"""Checks the worker's own queues: their names contain route names, and no two routes may share one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from worker.config.config_node import ConfigNode
from worker.config.routes import Routes
from worker.core.route_names import defined_name
from worker.core.topology import RUNS, bootstrap_lock, bootstrap_marker, dead_queue, known_stream, state_queue, wait_queue

STATE = (state_queue, wait_queue, known_stream, bootstrap_marker, bootstrap_lock)


def check_state_queues(definitions: Sequence[ConfigNode], routes: Routes) -> None:
    """Check that all queue names differ. Names may hold dots, so one route's name may equal another's plus the end of a queue: `tickets` and `tickets.born`."""
    nodes = {node.name: node for node in definitions if node.kind in {"subscribers", "runbooks"}}
    owners: dict[str, str] = {}
    for route, queue in state_queues(routes):
        owner = defined_name(owners.setdefault(queue, route))
        node = nodes.get(defined_name(route))
        if node is not None and owners[queue] != route and owner in nodes:
            beside = f"`{owner}` in {nodes[owner].reference()}" if nodes[owner] is not node else f"`{owners[queue]}`"
            node.add_key_error(f"the queue `{queue}` would belong to `{route}` and to {beside}: choose another name for one of them")


def state_queues(routes: Routes) -> Iterator[tuple[str, str]]:
    """Yield each route with each of its queues, routes with shorter names first. A runbook with a schedule has a state like a subscriber."""
    for route in sorted([*routes.subscribers, *(name for name, runbook in routes.runbooks.items() if runbook.schedule)], key=len):
        yield from ((route, queue(route)) for queue in STATE)
    for route in sorted(routes.runbooks, key=len):
        yield from ((route, queue) for queue in (f"{RUNS}{route}", dead_queue(f"{RUNS}{route}")))
