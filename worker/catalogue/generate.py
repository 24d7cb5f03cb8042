"""Makes the catalogue's data from a published OpenAPI file: `python -m worker.catalogue.generate OPENAPI.json [ENDPOINTS.json]`.

ENDPOINTS.json is an array of objects with `path` and `list_key`: the member of a list's answer that holds its rows, null for a bare array.
Older OpenAPI files of Halo lack it, newer ones have it for some lists; without ENDPOINTS.json the present data keeps it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from worker.catalogue.aliases import alias_table
from worker.catalogue.published import (
    METHODS,
    PARAMETER,
    Document,
    body_schema,
    by_name,
    grouped_by_type,
    member_schemas,
    members,
    parameters,
    rows_member,
    schema_name,
    type_of,
)

DATA, SCHEMAS = Path(__file__).with_name("data.json"), "schemas.json"

KEYS = {
    "/Actions": "ticket_id id",  # action ids count from 1 within each ticket
    "/Actions/{id}": "ticket_id id",
    "/Lookup": "lookupid id",  # one endpoint, many lists of values, each with its own numbers
    "/Lookup/{id}": "lookupid id",
    "/TicketApproval": "ticket_id seq",  # its rows have no id; its DELETE asks for these two
    "/Timesheet": "agent_id date",  # a row for each agent and day, all with id 0
    "/Timesheet/mine": "agent_id date",
    "/AssetTypeInfo": "typeinfo_id id",  # the ids of fields repeat from type to type
    "/workflowstep": "fdid step_id",  # its rows have no id
    "/OnlineStatus": "techID",  # its rows have no id
}
WITH_CUSTOM_FIELDS = ("Tickets", "Opportunities", "Projects", "Asset", "Client", "Site", "Users")
UNPUBLISHED = {
    ("/Actions", "post"): {"returnall": "bool"},  # without it the response holds only the last of several new actions
    ("/Actions/{id}", "delete"): {"ticket_id": "int"},  # Halo requires it, but its reference does not list it
    ("/ClientCache", "get"): {"iscachebuild": "bool"},  # without it Halo answers 500
    # clients in the field request custom fields of lists with these: the fields by number, and the labels of their values
    **{(f"/{entity}", "get"): {"include_custom_fields": "List<int>", "cf_display_values_only": "bool"} for entity in WITH_CUSTOM_FIELDS},
}


def list_keys(endpoints: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {row["path"]: row["list_key"] for row in endpoints if row.get("list_key")}


def kept_list_keys(data: Mapping[str, Any]) -> dict[str, str]:
    """Return the list keys of existing data."""
    return {path: facts["get"]["rows"] for path, facts in data["paths"].items() if "rows" in facts.get("get", {})}


def operation_facts(document: Document, path: str, method: str, bodies: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return query parameters and body of one operation; add the members of its body to `bodies`."""
    operation = document["paths"][path][method]
    facts: dict[str, Any] = {}
    query = parameters(document, operation, "query")
    query |= {name: kind for name, kind in UNPUBLISHED.get((path, method), {}).items() if name not in query}
    if query:
        facts["query"] = grouped_by_type(query)
    body = body_schema(operation)
    if body is not None:
        facts["body"], schema = body
        inside = members(document, schema)
        facts["of"] = (schema_name(schema) or path[1:]) if inside else type_of(document, schema)
        if inside:
            bodies[facts["of"]] = grouped_by_type(inside)
    return facts


def path_facts(document: Document, path: str, rows: str | None, bodies: dict[str, dict[str, str]]) -> dict[str, Any]:
    """Return one line of the data: the facts of a path and of each of its methods."""
    published = document["paths"][path]
    facts: dict[str, Any] = {method: operation_facts(document, path, method, bodies) for method in METHODS if method in published}
    types = {method: parameters(document, published[method], "path") for method in facts}
    if PARAMETER.search(path):
        common = facts["path"] = next(iter(types.values()))
        for method, its in types.items():
            if its != common:
                facts[method]["path"] = its
    if "get" in facts and not path.endswith("}"):
        rows = rows or rows_member(document, published["get"])
        facts["get"] |= {"rows": rows} if rows else {}
    if path in KEYS:
        facts["key"] = KEYS[path]
    return facts


def catalogue_data(document: Document, rows: Mapping[str, str]) -> dict[str, Any]:
    """Return the whole data for a parsed OpenAPI file. `rows`: by path, the member that holds the rows of its list."""
    bodies: dict[str, dict[str, str]] = {}
    paths = {path: path_facts(document, path, rows.get(path), bodies) for path in by_name(document["paths"])}
    tags: dict[str, set[str]] = {}
    for path in paths:
        for method in METHODS:
            for tag in document["paths"][path].get(method, {}).get("tags", ()):
                tags.setdefault(tag, set()).add(path.split("/")[1])
    entities = {path.split("/")[1] for path in paths}
    return {"aliases": alias_table(entities, tags), "paths": paths, "schemas": member_schemas(document, bodies)}


def text_of(data: Mapping[str, Mapping[str, Any]]) -> str:
    """Return JSON with one line per alias, path and schema, so that the difference to a newer file is readable."""
    sections = []
    for section, entries in data.items():
        lines = ",\n".join(f"{orjson.dumps(name).decode()}:{orjson.dumps(entry).decode()}" for name, entry in entries.items())
        sections.append(f'"{section}":{{\n{lines}\n}}')
    return "{\n" + ",\n".join(sections) + "\n}\n"


def read_json(path: Path) -> Any:
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m worker.catalogue.generate", description="Make the catalogue's data from a published OpenAPI file of Halo.")
    parser.add_argument("openapi", type=Path, help="the OpenAPI file of an instance: /api/swagger/v2/swagger.json")
    parser.add_argument("endpoints", type=Path, nargs="?", help="the keys of lists; default: those of the present data")
    parser.add_argument("--output", type=Path, default=DATA, help="the file to write; the members of bodies are written beside it")
    options = parser.parse_args(arguments)
    try:
        document = read_json(options.openapi)
        if not isinstance(document, dict) or "paths" not in document or "components" not in document:
            parser.error(f"{options.openapi} is not an OpenAPI 3 file: it needs paths and components")
        rows = list_keys(read_json(options.endpoints)) if options.endpoints else kept_list_keys(read_json(DATA))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    data = catalogue_data(document, rows)
    apart = {"schemas": data.pop("schemas")}
    for file, content, noun in ((options.output, data, "paths"), (options.output.with_name(SCHEMAS), apart, "schemas")):
        text = text_of(content)
        file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{file}: {len(content[noun])} {noun}, {len(text):,} characters\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
