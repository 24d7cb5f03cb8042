"""The catalogue of one tenant, from the OpenAPI file that its own Halo serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.errors import NotOpenApi
from worker.catalogue.generate import catalogue_data, kept_list_keys
from worker.catalogue.operations import DOTS, PATH, read_data
from worker.catalogue.published import METHODS, PARAMETER

BOM = b"\xef\xbb\xbf"
SERVER = "/api"
MAX_BYTES = 64 * 1024 * 1024  # bytes; Halo's own file has about 5 million
SWAGGER_PATH = "/api/swagger/v2/swagger.json"
"""The path at which every Halo serves its file."""


def parse_openapi(content: bytes) -> Catalogue:
    """Return the catalogue of an OpenAPI 3 document in JSON, with known facts about Halo: keys, rows of lists, unpublished parameters. Raises `NotOpenApi`."""
    try:
        document = orjson.loads(content.removeprefix(BOM))
    except orjson.JSONDecodeError as error:
        raise NotOpenApi(f"is not JSON: {str(error).partition(':')[0]}") from None
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict) or not document["paths"]:
        raise NotOpenApi("is not an OpenAPI file: it has no `paths`")
    if "swagger" in document:
        raise NotOpenApi(f"is a file of OpenAPI 2: fetch the one that Halo serves at {SWAGGER_PATH}")
    try:
        return Catalogue(complete(catalogue_data(with_relative_paths(document), kept_list_keys(read_data()))))
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        raise NotOpenApi("is not an OpenAPI file as Halo serves it: a part of `paths` or `components` has another form") from None


def with_relative_paths(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the document with paths relative to Halo's API, and only paths that a request can have."""
    paths = document["paths"]
    prefixed = all(path.lower().startswith(f"{SERVER}/") for path in paths)
    relative = {path[len(SERVER) :] if prefixed else path: facts for path, facts in paths.items()}
    usable = {path: facts for path, facts in relative.items() if PATH.fullmatch(path) and not DOTS.search(path) and any(method in facts for method in METHODS)}
    if not usable:
        raise NotOpenApi("is not an OpenAPI file of Halo: none of its paths can be one of Halo's")
    return {"components": {"schemas": {}}, **document, "paths": usable}


def complete(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data with a type for each parameter in the braces of a path, also if the file lacks one."""
    for path, facts in data["paths"].items():
        if names := PARAMETER.findall(path):
            for holder in (facts, *(facts[method] for method in METHODS if "path" in facts.get(method, {}))):
                holder["path"] = {name: holder["path"].get(name, "string") for name in names}
    return data
