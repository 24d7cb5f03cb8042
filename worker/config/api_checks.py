"""Checks compiled routes against the known Halo API: members of payloads, and the requirements of new records and of lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.needs import OF_LISTS, OF_NEW_RECORDS, UPDATING
from worker.catalogue.operation import Body, Operation
from worker.config.automation import Integration, Method, Runbook, Step
from worker.config.config_node import ConfigNode
from worker.config.documents import DocumentValue
from worker.config.node_documents import document_of
from worker.config.payloads import PayloadCheck
from worker.config.references import References
from worker.config.routes import Publisher, Subscriber


def check_with_api(made: Any, node: ConfigNode, references: References) -> None:
    """`made`: the compiled definition of the node."""
    match made:
        case Publisher():
            check_publisher(made, node)
        case Subscriber():
            check_subscriber(made, node)
        case Runbook():
            for name, step in made.steps.items():
                check_step(step, node.child("steps").child(name))
        case Integration() if made.auth.type == "halo":
            for name, method in made.methods.items():
                check_method(method, node.child("methods").child(name), references.catalogue_of(made.auth.client))
        case _:
            pass


def check_subscriber(route: Subscriber, node: ConfigNode) -> None:
    """Check every list that the route reads."""
    if route.report is None:
        check_list(route.operation, [node.child("request").child("query"), node.child("input_transform").child("query")], node.child("entity"))
    if route.for_each is not None:
        check_list(route.for_each.operation, [node.child("for_each").child("request").child("query")], node.child("for_each").child("entity"))
    for member, include in route.include.items():
        place = node.child("include").child(member)
        check_list(include.operation, [place.child("query")], place.child("entity"))


def check_publisher(route: Publisher, node: ConfigNode) -> None:
    transform = node.child("transform")
    document = document_of(transform, jsonata=True)
    sent = [value for each in document.objects() if (value := each.member("payload")) is not None]
    check = PayloadCheck.of(route.operation, node.child("allow_unknown").value or False)
    for payload in sent if route.operation.method == "POST" else ():
        check.members(payload)
        check_needs(route.operation, payload)
    if route.find is not None:
        check_find(route.find.operation, check, node.child("find"))


def check_step(step: Step, node: ConfigNode) -> None:
    if step.operation is None or step.action is None:
        return
    check = PayloadCheck.of(step.operation, node.child("allow_unknown").value or False)
    body = document_of(node.child("body"))
    if step.operation.method == "POST":
        check.members(body)
        if "id" not in step.action.required:
            asked = {name for need in step.action.required for name in ((need,) if isinstance(need, str) else need)}
            check_needs(step.operation, body, asked)
    elif step.operation.method == "GET":
        check_list(step.operation, [node.child("query")], node.child("action"))
    if step.find is not None:
        check_find(step.find.operation, check, node.child("find"))


def check_method(method: Method, node: ConfigNode, catalogue: Catalogue) -> None:
    """Check a method of Halo's own API."""
    path = "".join(part for part in method.path if isinstance(part, str))
    operation = catalogue.methods_of(path).get("POST") if method.verb == "POST" and "body" in node else None
    if operation is None or method.body_kind != "json" or len(method.path) > 1:
        return
    body = document_of(node.child("body"))
    PayloadCheck.of(operation, None).members(body)
    if body.kind == "object" and operation.body is Body.ARRAY:
        node.child("body").add_warning(f"POST {operation.entity} takes an array: Halo refuses one object without brackets around it")


def check_find(operation: Operation, check: PayloadCheck, node: ConfigNode) -> None:
    check_list(operation, [node.child("query")], node)
    check.matched(node.child("match"))


def check_needs(operation: Operation, payload: DocumentValue, reported: set[str] | frozenset[str] = frozenset()) -> None:
    """Warn of a new record that lacks a member that Halo needs. `reported`: members that have an action's own error."""
    for record in payload.objects():
        given = {member.name.lower() for member in record.members if not member.value.empty}
        if not record.complete or given & {*UPDATING}:
            continue
        for need in OF_NEW_RECORDS.get(operation.path, ()):
            if not need.met(given) and not reported & {*need.names}:
                record.spot.warn(f"a new record of {operation.entity} needs {need.words}: {need.why}")


def check_list(operation: Operation, queries: list[ConfigNode], place: ConfigNode) -> None:
    """Warn of a list that needs a parameter without a source."""
    need = OF_LISTS.get(operation.path) if operation.method == "GET" else None
    if need is None or any(computed(query) for query in queries):
        return
    given = {name.lower() for query in queries for name, member in query.members.items() if member.value is not None}
    if not need.met(given):
        words = " or ".join(f"`{name}`" for name in need.names)
        place.add_warning(f"{operation.entity} needs {words} under `query`: {need.why}")


def computed(query: ConfigNode) -> bool:
    """Whether a run decides which parameters there are."""
    return query.exists and query.value is not None and not isinstance(query.value, Mapping)
