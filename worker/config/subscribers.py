"""Compiles the definition of a subscriber against the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.operation import Operation
from worker.config.config_node import ConfigNode
from worker.config.members import check_shape, condition, find_operation, transformation
from worker.config.models.subscribers import EVERY, SubscriberDefinition
from worker.config.parameters import Checks, members_of, own_parameters, path_parameters, query_parameters, request_parameters, require_path, template
from worker.config.routes import Subscriber
from worker.core.errors import Problem

NOT_FILTERING = ("include", "order")
FILTERING = ("only", "include_this_id")

Changes = Literal["by_date", "by_content", "all"]


@dataclass(frozen=True, slots=True)
class Draft:
    """A subscriber while it is checked; `node` is its definition in the file."""

    definition: SubscriberDefinition
    operation: Operation
    node: ConfigNode
    problems: list[Problem]

    def refuse(self, member: str, message: str) -> None:
        self.problems.append(self.node.child(member).problem(message))


def compile_subscriber(name: str, definition: SubscriberDefinition, node: ConfigNode, catalogue: Catalogue, problems: list[Problem]) -> Subscriber | None:
    """None after a problem that leaves nothing to check against."""
    when = condition(node.child("when"), problems)
    transform = transformation(node.child("transform"), problems)
    input_transform = transformation(node.child("input_transform"), problems)
    routing_key = node.child("publish").child("routing_key")
    key_template = template(routing_key, problems) if definition.publish.routing_key is not None else None
    check_choices(definition, node, problems)
    operation = find_operation(node, catalogue, definition.entity, "GET", problems, allow_unknown=definition.allow_unknown)
    if operation is None:
        return None
    draft = Draft(definition, operation, node, problems)
    changes = resolve_changes(draft)
    checks = Checks(catalogue, operation, definition.allow_unknown, own_parameters(operation, by_date=changes == "by_date"))
    request = request_parameters(node.child("request"), checks, problems)
    check_input_transform(draft, checks, list(request.path))
    check_start(draft, changes)
    if definition.deletes:
        check_deletes(draft)
    return Subscriber(
        name=name,
        client=definition.client,
        operation=operation,
        every=None if definition.cron else definition.every or EVERY,
        cron=definition.cron,
        request=request,
        input_transform=input_transform,
        changes=changes,
        start=definition.start,
        overlap=definition.overlap,
        details=details(draft, catalogue) if definition.details else None,
        deletes=definition.deletes,
        unrouted=definition.unrouted,
        when=when,
        transform=transform,
        exchange=definition.publish.exchange,
        routing_key=key_template,
        queue=definition.queue or definition.publish.queue,
        queue_binding=binding_pattern(operation.resource, definition.publish.routing_key, routing_key),
        key=tuple(definition.key) if definition.key else operation.key,
        ignore=frozenset(definition.ignore or ()),
        echo=definition.echo,
        on_lost_cursor=definition.on_lost_cursor,
    )


def check_choices(definition: SubscriberDefinition, node: ConfigNode, problems: list[Problem]) -> None:
    """Members of which only one can be meant."""
    if definition.every is not None and definition.cron is not None:
        problems.append(node.child("cron").key_problem("both `every` and `cron` are given: write one of them"))
    if definition.queue is not None and definition.publish.queue is not None:
        problems.append(node.child("queue").key_problem("both `queue` and `publish.queue` are given: write one of them"))


def resolve_changes(draft: Draft) -> Changes:
    """What `auto` means for this list; by date only where Halo can filter."""
    dated = draft.operation.listing is not None and draft.operation.listing.dated
    wanted = draft.definition.changes
    if wanted == "auto":
        return "by_date" if dated else "by_content"
    if wanted == "by_date" and not dated and not draft.definition.allow_unknown:
        draft.refuse("changes", f"Halo cannot filter {draft.operation.entity} by date: write by_content, all or auto")
    return wanted


def check_start(draft: Draft, changes: Changes) -> None:
    if isinstance(draft.definition.start, datetime) and changes != "by_date":
        draft.refuse("start", f"`start` can be a date only where changes are found by date, which is not so for this route ({changes}): write now or beginning")


def details(draft: Draft, catalogue: Catalogue) -> Operation | None:
    found = catalogue.details_of(draft.operation)
    if found is None:
        draft.refuse("details", f"Halo has no single record to fetch for {draft.operation.entity}: leave `details` out")
    return found


def check_deletes(draft: Draft) -> None:
    """Records that a filter hides would look deleted."""
    if draft.operation.listing is None:
        draft.refuse("deletes", f"`deletes` is for lists; {draft.operation.entity} is one record")
    for holder in ("request", "input_transform"):
        query = draft.node.child(holder).child("query")
        for name in members_of(query):
            if filtering(name):
                draft.problems.append(query.child(name).key_problem(f"`{name}` may filter: with `deletes: true` what it hides would be reported as deleted"))


def filtering(name: str) -> bool:
    lower = name.lower()
    return not lower.startswith(NOT_FILTERING) or lower.endswith(FILTERING)


def check_input_transform(draft: Draft, checks: Checks, supplied: list[str]) -> None:
    """Its names are checked where it is a mapping; where it is one expression, nobody can know what it supplies."""
    node = draft.node.child("input_transform")
    check_shape(node, ("path", "query"), draft.problems)
    known: list[Problem] = []  # its values were compiled, and complained about, as a whole
    supplied += path_parameters(node.child("path"), checks, known)
    query_parameters(node.child("query"), checks, known)
    draft.problems.extend(problem for problem in known if problem not in draft.problems)
    if not node.exists or (isinstance(node.value, dict) and not isinstance(node.value.get("path"), str)):
        require_path(draft.node, checks, supplied, draft.problems)


def binding_pattern(resource: str, routing_key: str | None, node: ConfigNode) -> str:
    """What the route's own queue is bound with: everything that its routing key can become."""
    if routing_key is None:
        return f"{resource}.*"
    before, brace, _ = routing_key.partition("{{")
    literal = node.fill(before)
    return literal.rpartition(".")[0] + ".#" if brace and "." in literal else "#" if brace else literal
