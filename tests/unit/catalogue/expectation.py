"""Writes `published.txt`, what the published file says of each operation, one line each, by a way of its own: it shares no code with the worker.

    python tests/unit/catalogue/expectation.py OPENAPI.json > tests/unit/catalogue/published.txt

Columns, separated by tabs: method; path; path parameters in the order of the path; shape of the body; digest of the query parameters; digest of the body's members;
`paged`, `dated`, `ordered`. A digest is over the sorted `name:type` lines; `-` stands for none.
"""

import hashlib
import json
import pathlib
import sys

FORMATS_THAT_COUNT = {"date-time", "uuid", "byte", "binary", "int64", "date-span"}


def digest(lines):
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:10] if lines else "-"


def resolve(document, schema):
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].removeprefix("#/components/schemas/")]
    return schema


def word(document, schema):
    schema = resolve(document, schema)
    if schema.get("format") in FORMATS_THAT_COUNT:
        return schema["format"]
    return schema.get("type", "any")


def query_word(document, parameter):
    """The type; dates that are declared as bool, and types that two places tell differently, as they are used."""
    if parameter["name"].lower() in {"lastupdatefromdate", "lastupdatetodate", "invoicedatestart", "invoicedateend"}:
        return "date"
    described = parameter.get("description") or ""
    said = described[1:].split(")")[0] if described.startswith("(") else ""
    if "schema" not in parameter:
        return said
    schema = word(document, parameter["schema"])
    if schema == "string" and said == "array of int":
        return "List<int>"
    return "any" if sorted((schema, said)) == ["bool", "int"] else schema


def query_lines(document, operation):
    lines = {}
    for parameter in reversed([one for one in operation.get("parameters", []) if one["in"] == "query"]):
        kind = query_word(document, parameter)
        lines[parameter["name"].lower()] = f"{parameter['name']}:{kind}"
    return lines


def path_parameters(operation, path, document):
    own = {one["name"]: word(document, one["schema"]) for one in operation.get("parameters", []) if one["in"] == "path"}
    return " ".join(f"{name}:{own[name]}" for name in sorted(own, key=lambda name: path.index("{" + name + "}"))) or "-"


def body(document, operation):
    content = operation.get("requestBody", {"content": {}})["content"]
    if not content:
        return "-", []
    media, described = next(iter(content.items()))
    schema = resolve(document, described["schema"])
    shape = "multipart" if media.startswith("multipart/") else {"array": "array", "object": "object"}.get(schema["type"], "-")
    inner = resolve(document, schema["items"]) if shape == "array" else schema
    return shape, [f"{name}:{word(document, its)}" for name, its in inner.get("properties", {}).items()]


def main(path_of_document):
    with pathlib.Path(path_of_document).open(encoding="utf-8") as file:
        document = json.load(file)
    for path in sorted(document["paths"]):
        for method, operation in sorted(document["paths"][path].items()):
            query = query_lines(document, operation)
            shape, members = body(document, operation)
            flags = [
                flag for flag, name in (("paged", "pageinate"), ("dated", "lastupdatefromdate"), ("ordered", "order")) if method == "get" and name in query
            ]
            columns = (method.upper(), path, path_parameters(operation, path, document), shape, digest(query.values()), digest(members), " ".join(flags) or "-")
            sys.stdout.write("\t".join(columns) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
