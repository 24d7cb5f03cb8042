"""Compiles the definition of a publisher against the catalogue."""

from __future__ import annotations

from typing import Any

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.operation import Operation
from worker.config.config_node import ConfigNode
from worker.config.lookups import compile_find
from worker.config.members import check_shape, condition, expression, find_operation, transformation
from worker.config.models.publishers import PublisherDefinition
from worker.config.parameters import Checks, path_parameters, query_parameters, request_parameters, require_path
from worker.config.routes import Publisher
from worker.core.errors import Problem

SHAPE = ("path", "query", "payload")
NEW_TICKETS = "/Tickets"


def compile_publisher(name: str, definition: PublisherDefinition, node: ConfigNode, catalogue: Catalogue, problems: list[Problem]) -> Publisher | None:
    """None after a problem that leaves nothing to check against."""
    when = condition(node.child("when"), problems)
    transform = transformation(node.child("transform"), problems)
    order_by = expression(node.child("order_by"), problems)
    once = expression(node.child("once"), problems)
    check_choices(definition, node, problems)
    operation = find_operation(node, catalogue, definition.entity, definition.method, problems, allow_unknown=definition.allow_unknown)
    if operation is None:
        return None
    checks = Checks(catalogue, operation, definition.allow_unknown)
    request = request_parameters(node.child("request"), checks, problems)
    check_transform(node, checks, list(request.path), problems)
    return Publisher(
        name=name,
        client=definition.client,
        queue=definition.queue,
        operation=operation,
        declare=definition.declare,
        bind=tuple((bind.exchange, bind.routing_key) for bind in definition.bind),
        request=request,
        when=when,
        transform=transform,
        find=None if definition.method == "DELETE" else compile_find(definition.find, checks, node.child("find"), problems),
        in_doubt=definition.in_doubt,
        retry=tuple(definition.retry),
        concurrency=definition.concurrency or default_concurrency(operation),
        order_by=order_by,
        once=once,
        may_be_empty=may_be_empty(node.child("transform")),
        allow_unknown=definition.allow_unknown,
    )


def may_be_empty(transform: ConfigNode) -> bool:
    """A sender may write an empty payload, and so may a route; what expressions leave empty is a mistake."""
    if not transform.exists:
        return True
    return isinstance(transform.value, dict) and transform.value.get("payload") in ({}, [{}])


def default_concurrency(operation: Operation) -> int:
    return 1 if operation.method == "POST" and operation.path == NEW_TICKETS else 4


def check_choices(definition: PublisherDefinition, node: ConfigNode, problems: list[Problem]) -> None:
    """Members that contradict each other."""
    if definition.find is not None and definition.method == "DELETE":
        problems.append(node.child("find").key_problem("`find` is for POST: a DELETE can be repeated without looking"))
    if definition.find is not None and definition.in_doubt == "repeat":
        problems.append(node.child("in_doubt").key_problem("`in_doubt: repeat` is for routes that cannot look; this one has `find`"))


def check_transform(route: ConfigNode, checks: Checks, supplied: list[str], problems: list[Problem]) -> None:
    """What a mapping under `transform` can be told to lack or to misspell; a JSONata text and the message's own members are seen only at work."""
    node = route.child("transform")
    check_shape(node, SHAPE, problems)
    known: list[Problem] = []  # its values were compiled, and complained about, as a whole
    supplied += path_parameters(node.child("path"), checks, known)
    query_parameters(node.child("query"), checks, known)
    problems.extend(problem for problem in known if problem not in problems)
    value: Any = node.value if node.exists else None
    if not isinstance(value, dict) or isinstance(value.get("path"), str):
        return
    require_path(route, checks, supplied, problems, "`request.path` or `transform.path`")
    if checks.operation.body is not None and "payload" not in value:
        problems.append(node.key_problem("`transform` gives no `payload`, which a POST sends"))
