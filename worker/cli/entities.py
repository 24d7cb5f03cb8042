"""Shows the entities of the Halo API: all, those that match a text, or one with all its parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from worker.catalogue.catalogue import Catalogue, load
from worker.catalogue.operation import Operation
from worker.cli.console import errors, output, table, write_json
from worker.cli.entity_members import COLUMNS as MEMBER_COLUMNS
from worker.cli.entity_members import member_row, members_of
from worker.core.suggest import did_you_mean

COLUMNS = ("entity", "methods", "paging", "by date", "id", "rows in")
SHOWN = 8


def print_entities(text: str, *, as_json: bool, member: str = "") -> int:
    """Print entities, and return the exit code: 1 when none is found. `member`: show only the members of this name that an entity's POST takes."""
    catalogue = load()
    methods = catalogue.methods_of(text)
    if methods and member:
        return show_members(catalogue, methods, member, as_json=as_json)
    if methods:
        show_one(catalogue, methods, text, as_json=as_json)
        return 0
    entities = list(dict.fromkeys(operation.entity for operation in catalogue.search(text)))
    if not entities:
        errors().print(catalogue.advice_on(text))
        return 1
    facts = [facts_of(catalogue, catalogue.methods_of(entity)) for entity in entities]
    if as_json:
        write_json(facts)
    else:
        write_table(COLUMNS, [row_of(its) for its in facts])
    return 0


def facts_of(catalogue: Catalogue, methods: Mapping[str, Operation]) -> dict[str, Any]:
    """Return the columns of one path; `id` is the type of its record's id, null where Halo has no path for one record."""
    any_one = next(iter(methods.values()))
    reading = methods.get("GET")
    listing = reading.listing if reading else None
    details = catalogue.details_of(reading) if reading else None
    types = (details or any_one).path_parameters
    return {
        "entity": any_one.entity,
        "methods": list(methods),
        "paged": bool(listing and listing.paged),
        "dated": bool(listing and listing.dated),
        "id": types.get("id"),
        "rows": listing.key if listing else None,
    }


def row_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    yes = {True: "yes", False: ""}
    return (facts["entity"], " ".join(facts["methods"]), yes[facts["paged"]], yes[facts["dated"]], facts["id"] or "", facts["rows"] or "")


def show_one(catalogue: Catalogue, methods: Mapping[str, Operation], text: str, *, as_json: bool) -> None:
    first = next(iter(methods.values()))
    aliases = [alias for alias, entity in catalogue.aliases.items() if entity == first.entity]
    facts = facts_of(catalogue, methods) | {
        "key": list(first.key),
        "aliases": aliases,
        "operations": [details(catalogue, operation) for operation in methods.values()],
    }
    if as_json:
        write_json([facts])
        return
    write_table(COLUMNS, [row_of(facts)])
    write_table(("method", "parameter", "type", "where"), [row for operation in methods.values() for row in parameter_rows(operation)])
    if "POST" in methods and (taken := members_of(catalogue, methods["POST"])):
        write_table(MEMBER_COLUMNS, map(member_row, taken))
        output().print(f"{len(taken)} members of POST {first.entity}; `--member NAME` shows those of this name, and what is inside")
    related = [entity for entity in dict.fromkeys(operation.entity for operation in catalogue.search(text)) if entity != first.entity]
    notes = {"identified by": first.key, "also called": aliases, "see also": related[:SHOWN]}
    for name, values in notes.items():
        if values:
            output().print(f"{name}: {', '.join(values)}")


def show_members(catalogue: Catalogue, methods: Mapping[str, Operation], member: str, *, as_json: bool) -> int:
    """Print members, and return the exit code: 1 when the POST takes no member of this name."""
    first = next(iter(methods.values()))
    if "POST" not in methods:
        errors().print(f"{first.entity} has no POST")
        return 1
    found = members_of(catalogue, methods["POST"], member)
    if not found:
        errors().print(f"POST {first.entity} has no member {member!r}{did_you_mean(member, catalogue.body_members(methods['POST']))}")
        return 1
    if as_json:
        write_json(found)
    else:
        write_table(MEMBER_COLUMNS, map(member_row, found))
    return 0


def details(catalogue: Catalogue, operation: Operation) -> dict[str, Any]:
    return {
        "method": operation.method,
        "path_parameters": operation.path_parameters,
        "query_parameters": operation.query_parameters,
        "body": operation.body.value if operation.body else None,
        "members": members_of(catalogue, operation) if operation.body else [],
    }


def parameter_rows(operation: Operation) -> Iterable[tuple[str, ...]]:
    places = (("path", operation.path_parameters), ("query", operation.query_parameters))
    rows = [(operation.method, name, kind, place) for place, types in places for name, kind in types.items()]
    if operation.body:
        rows.append((operation.method, "payload", operation.body.value, "body"))
    return rows or [(operation.method, "", "", "")]


def write_table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    console = output()
    shown = table(console, *columns)
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
