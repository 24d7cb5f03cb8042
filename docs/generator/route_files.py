"""The page of the route files: every key with its type, default and meaning, from the JSON Schema that `halo-worker schema` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docs.generator.markdown import anchor, code, codes, page, paragraph, sentence, table
from worker.config.schema import json_schema
from worker.config.value_types import DURATION

INTRO = """A route file is YAML 1.2 in the folder `WORKER_ROUTES`. Names are unique over all files. `halo-worker check` refuses
unknown keys, duplicate keys and aliases. `halo-worker schema` prints the same as JSON Schema for editors. The guide
[Route files](../guides/route-files.md) explains variables and expressions."""
PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`", "null": "", "object": "mapping", "array": "list"}
Schema = Mapping[str, Any]


def route_files_page() -> str:
    schema = json_schema()
    names = headings(schema)
    overview = []
    blocks = [plain_section(kind, member) for kind, member in schema["properties"].items() if "$ref" not in member["additionalProperties"]]
    for kind, member in schema["properties"].items():
        overview.append((f"[{kind}](#{anchor(kind)})", meaning(member)))
    for definition, heading in names.items():
        blocks.append(section(heading, schema["$defs"][definition], names))
    return page("Route file keys", INTRO, table(("key", "what it holds"), overview), *blocks)


def headings(schema: Schema) -> dict[str, str]:
    """A heading for each definition, from where it is first used: `publishers.find`."""
    found: dict[str, str] = {}
    for kind, member in schema["properties"].items():
        if "$ref" not in member["additionalProperties"]:
            continue  # data, which has no keys of its own
        name(reference(member["additionalProperties"]), kind, schema, found)
    return found


def plain_section(kind: str, member: Schema) -> str:
    """A section that holds data instead of definitions."""
    example = json.dumps({kind: member["examples"][0]})
    return "\n\n".join((f"## {kind}", paragraph(member["description"]), f"Example, as JSON, which YAML includes: `{example}`"))


def name(definition: str, heading: str, schema: Schema, found: dict[str, str]) -> None:
    if definition in found:
        return
    found[definition] = heading
    for key, member in schema["$defs"][definition].get("properties", {}).items():
        for inner in references(member):
            chosen = schema["$defs"][inner]["properties"].get("type", {}).get("const")
            name(inner, f"{heading}.{key} {chosen}" if chosen else f"{heading}.{key}", schema, found)


def references(member: Any) -> Iterator[str]:
    """Every definition that a member refers to, however deep, in its order."""
    if isinstance(member, Mapping):
        if "$ref" in member:
            yield reference(member)
        for key, inner in member.items():
            if key != "discriminator":
                yield from references(inner)
    elif isinstance(member, list):
        for inner in member:
            yield from references(inner)


def reference(member: Schema) -> str:
    return str(member["$ref"]).rpartition("/")[2]


def section(heading: str, definition: Schema, names: Mapping[str, str]) -> str:
    level = "##" if "." not in heading else "###"
    required = definition.get("required", [])
    rows = [
        (code(key), kind(member, names), "required" if key in required else default(member), meaning(member))
        for key, member in definition.get("properties", {}).items()
    ]
    return "\n\n".join(filter(None, (f"{level} {heading}", paragraph(definition.get("description", "")), table(("key", "type", "default", "meaning"), rows))))


def kind(member: Schema, names: Mapping[str, str]) -> str:
    """The type of a value, in words."""
    if "$ref" in member:
        heading = names[reference(member)]
        return f"[{heading}](#{anchor(heading)})"
    for several in ("anyOf", "oneOf"):
        if several in member:
            return " or ".join(filter(None, dict.fromkeys(kind(each, names) for each in member[several])))
    if "const" in member or "enum" in member:
        return codes(dict.fromkeys("null" if each is None else each for each in member.get("enum") or [member["const"]]))
    return "duration" if member.get("pattern") == DURATION else plain_kind(member, names)


def plain_kind(member: Schema, names: Mapping[str, str]) -> str:
    """The type of a value that is neither another definition nor one of several."""
    match member.get("type"):
        case "array":
            return f"list of {kind(member['items'], names)}" if member.get("items") else "list"
        case "object":
            inner = member.get("additionalProperties")
            return f"mapping of names to {kind(inner, names)}" if isinstance(inner, Mapping) and inner else "mapping"
        case list(types):
            return ", ".join(PLAIN[each] for each in types if each != "null")
        case str(plain):
            return PLAIN[plain] + bounds(member)
    return "any value"


def bounds(member: Schema) -> str:
    low, high = member.get("minimum"), member.get("maximum")
    return (f", from {low}" if low is not None else "") + (f" to {high}" if high is not None else "")


def default(member: Schema) -> str:
    if "default" not in member:
        return ""
    value = member["default"]
    if isinstance(value, Mapping) and value:
        return "its own defaults"
    return code(value if isinstance(value, str) and value else json.dumps(value))


def meaning(member: Schema) -> str:
    given = member.get("examples", [])[: 1 if member.get("pattern") == DURATION else None]
    examples = [each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in given]
    shown = f" Example: {', '.join(map(code, examples))}." if examples else ""
    return sentence(member.get("description", "")) + shown
