"""What a subscriber reads: a list or record of the API, the lists below other records, or a report."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.operation import Operation
from worker.config.children import compile_parents
from worker.config.compiled import RequestParameters
from worker.config.config_node import ConfigNode
from worker.config.parameters import ParameterRules, check_transform, find_operation, own_parameters, request_parameters, require_path, supplies_any_path
from worker.config.reports import compile_report, report_operation
from worker.config.subscribers import SubscriberDefinition

NOT_FILTERING = ("include", "order")
FILTERING = ("only", "include_this_id")
SHOWING = frozenset({"cf_display_values_only"})

Changes = Literal["by_date", "by_content", "all"]


def report_reading(definition: SubscriberDefinition, node: ConfigNode, catalogue: Catalogue) -> dict[str, Any] | None:
    """Return what a report reads, as members of the route; None if its entity is unknown."""
    operation = report_operation(node, catalogue, definition.entity, definition.key)
    if operation is None or definition.report is None:
        return None
    key = tuple(definition.key or operation.key if definition.entity is not None else definition.key or ())
    report = compile_report(definition.report, node, key)
    changes: Changes = "by_date" if report.cursor is not None else "by_content"
    if definition.changes not in {"auto", changes} and not (definition.changes == "all" and report.cursor is None):
        remedy = "name the column under `report.cursor`" if definition.changes == "by_date" else "leave it out: with `cursor`, changes are found by date"
        node.child("changes").add_error(f"`changes: {definition.changes}` does not fit the report: {remedy}")
    elif definition.changes == "all":
        changes = "all"
    if definition.deletes and report.cursor is not None:
        node.child("deletes").add_error("a report with `cursor` reads new rows only, so it cannot see deletions: leave out `deletes`, or `cursor`")
    return {"operation": operation, "request": RequestParameters(), "changes": changes, "details": None, "report": report, "for_each": None, "key": key}


def list_reading(definition: SubscriberDefinition, node: ConfigNode, catalogue: Catalogue) -> dict[str, Any] | None:
    """Return what the route reads of the API, a list or a record, as members of the route; None if its operation is unknown."""
    if definition.entity is None:
        if not {"entity", "report"} & node.children.keys():
            node.add_key_error("`entity` is missing")
        return None
    operation = find_operation(node, catalogue, definition.entity, "GET", allow_unknown=definition.allow_unknown)
    parents = None
    if definition.for_each is not None:
        parents = compile_parents(definition.for_each, node.child("for_each"), catalogue, definition.allow_unknown, definition.changes)
    if operation is None or (definition.for_each is not None and parents is None):
        return None
    changes = resolve_changes(definition, operation if parents is None else parents.operation, node)
    checks = ParameterRules(catalogue, operation, definition.allow_unknown, own_parameters(operation, by_date=changes == "by_date" and parents is None))
    request = request_parameters(node.child("request"), checks)
    input_transform = node.child("input_transform")
    supplied = {*request.path, *check_transform(input_transform, ("path", "query"), checks)}
    if not supplies_any_path(input_transform):
        require_path(node, checks, supplied, "`request.path`")
    if definition.deletes:
        check_deletes(operation, node)
    if parents is not None:
        check_children(definition, operation, node)
    details = catalogue.details_of(operation) if definition.details else None
    if definition.details and details is None:
        node.child("details").add_error(f"Halo has no single record to fetch for {operation.entity}: leave `details` out")
    key = tuple(definition.key or operation.key)
    return {"operation": operation, "request": request, "changes": changes, "details": details, "for_each": parents, "report": None, "key": key}


def check_children(definition: SubscriberDefinition, operation: Operation, node: ConfigNode) -> None:
    """Add errors for members that a route cannot have together with `for_each`."""
    if operation.listing is None:
        node.child("entity").add_error(f"{operation.entity} is one record: `for_each` reads a list of children")
    if "$parent" not in str(node.child("request").value):
        node.child("for_each").add_key_error("`request` does not use `$parent`: the worker would read the same list again for each parent")
    if definition.changes == "all":
        node.child("changes").add_error("`changes: all` would read the children of every parent at every poll: write auto, by_date or by_content")
    if "input_transform" in node:
        node.child("input_transform").add_key_error("`input_transform` must be left out with `for_each`: expressions of `request` see the parent as `$parent`")


def resolve_changes(definition: SubscriberDefinition, operation: Operation, node: ConfigNode) -> Changes:
    """Return how changes are found: `auto` means by date if Halo can filter, otherwise by content."""
    dated = operation.listing is not None and operation.listing.dated
    if definition.changes == "auto":
        return "by_date" if dated else "by_content"
    if definition.changes == "by_date" and not dated and definition.allow_unknown is not True:
        node.child("changes").add_error(f"Halo cannot filter {operation.entity} by date: write by_content, all or auto")
    return definition.changes


def check_start(definition: SubscriberDefinition, changes: Changes, node: ConfigNode) -> None:
    """Check the members that depend on how changes are found."""
    if isinstance(definition.start, datetime) and changes != "by_date":
        node.child("start").add_error(
            f"`start` can be a date only where changes are found by date, which is not so for this route ({changes}): write now or beginning"
        )
    if "deletes_limit" in node and not definition.deletes:
        node.child("deletes_limit").add_key_error("`deletes_limit` needs `deletes: true`")


def check_deletes(operation: Operation, node: ConfigNode) -> None:
    """Refuse filters: a record that a filter hides would look deleted."""
    if operation.listing is None:
        node.child("deletes").add_error(f"`deletes` is for lists; {operation.entity} is one record")
    holders = (node.child("request"), node.child("input_transform"), node.child("for_each").child("request"))
    for name, member in (item for holder in holders for item in holder.child("query").members.items()):
        of_parent = "for_each" in node and isinstance(member.value, str) and "$parent" in member.value
        if filtering(name) and not of_parent:
            member.add_key_error(f"`{name}` may filter: with `deletes: true` the worker would report hidden records as deleted")


def filtering(name: str) -> bool:
    lower = name.lower()
    return lower not in SHOWING and (not lower.startswith(NOT_FILTERING) or lower.endswith(FILTERING))
