"""Translates methods of integration documents to methods of a route file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from worker.core.header_names import is_connection_header
from worker.core.media_types import FORM, media_type_of
from worker.translation.halo_steps import is_number
from worker.translation.known_methods import KnownMethod
from worker.translation.outputs import keyed, read_outputs
from worker.translation.report import TranslationReport, Untranslatable
from worker.translation.secrets import MARK
from worker.translation.texts import excerpt, to_route_text, variables_of

VERBS = {0: "GET", 1: "POST", 2: "PUT", 3: "DELETE", 4: "PATCH"}
INHERIT = -1
SEGMENT = re.compile(r"\{([^{}]+)\}")
WITHOUT_BODY = frozenset({"GET", "DELETE"})


def import_method(document: Mapping[str, Any], integration: Mapping[str, Any], report: TranslationReport) -> dict[str, Any]:
    """Raises `Untranslatable`."""
    number = document.get("method")
    number = 0 if number is None else number
    if not is_number(number) or number not in VERBS:
        raise Untranslatable(f"the HTTP method {number!r} is not known (`method`)")
    if document.get("authorizationtype") not in (None, INHERIT, integration.get("authorizationtype") or 0):
        raise Untranslatable("the method has an authorization of its own: give it an integration of its own")
    if keyed(document.get("body_mappings")):
        raise Untranslatable("the body is made of mappings (`body_mappings`): write it as `requestbody`")
    path, query = path_and_query(document)
    verb = VERBS[number]
    made: dict[str, Any] = {"method": verb, "path": path}
    headers = read_headers(document)
    made |= {"query": query} if query else {}
    body = document.get("requestbody")
    if body is not None and not isinstance(body, str):
        raise Untranslatable("`requestbody` is no text")
    if body and body.strip() and verb != "GET":
        made["body"] = form_of(body) if is_form(headers) else to_route_text(body)
        if looks_like_json(body) and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
    elif body and body.strip():
        report.add(str(document.get("name")), "a body of a GET", "left out: a GET sends no body", "an API that reads the body of a GET misses it")
    made |= {"headers": headers} if headers and ("body" in made or set(map(str.lower, headers)) - {"content-type"}) else {}
    if "body" not in made and "headers" in made:
        made["headers"] = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    outputs = read_outputs(document.get("output_variables"))
    return made | ({"output": outputs} if outputs else {})


def is_form(headers: Mapping[str, str]) -> bool:
    return any(name.lower() == "content-type" and media_type_of(value) == FORM for name, value in headers.items())


def form_of(body: str) -> dict[str, str]:
    """Return the fields of a form. Raises `Untranslatable`."""
    fields = query_of(body)
    if not fields or len(dict(fields)) != len(fields):
        raise Untranslatable("the body is no form with each field once, as its `Content-Type` says")
    return {name: to_route_text(value) for name, value in fields}


def looks_like_json(body: str) -> bool:
    return body.lstrip()[:1] in {"{", "["}


def path_and_query(document: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the path with its variables, and the query parameters. Raises `Untranslatable`."""
    written = document.get("path")
    if not isinstance(written, str) or not written.strip():
        raise Untranslatable("the method has no path")
    written = written.strip()
    if re.match(r"(?i)[a-z][a-z0-9+.-]*://|//", written) or written.startswith("<<"):
        raise Untranslatable(
            f"the path `{excerpt(written)}` is an address, or begins with a variable: the base address of the integration decides which host is called"
        )
    path, _, inline = written.partition("?")
    values = dict(keyed(document.get("uri_params")))
    filled: set[str] = set()

    def segment(found: re.Match[str]) -> str:
        filled.add(found[1])
        return to_route_text(values[found[1]]) if found[1] in values else f"<<{found[1].strip()}>>"

    made = "".join(SEGMENT.sub(segment, part) if index % 2 == 0 else to_route_text(f"<<{part}>>") for index, part in enumerate(re.split(r"<<(.*?)>>", path)))
    query = {name: to_route_text(value) for name, value in query_of(inline)}
    query |= {name: to_route_text(value) for name, value in values.items() if name not in filled}
    return made if made.startswith("/") else f"/{made}", query


def query_of(text: str) -> list[tuple[str, str]]:
    return parse_qsl(text, keep_blank_values=True) if text else []


def read_headers(document: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in keyed(document.get("headers")):
        if is_connection_header(name):
            raise Untranslatable(f"the header `{excerpt(name)}` belongs to the connection, which the worker sets")
        if name.lower() in {each.lower() for each in found}:
            raise Untranslatable(f"the header `{excerpt(name)}` is given twice")
        found[name.strip()] = value if MARK.search(value) else to_route_text(value)
    return found


def known_method(name: str, definition: Mapping[str, Any], document: Mapping[str, Any]) -> KnownMethod:
    """Return the facts about a method that runbooks need."""
    texts = [definition["path"], document.get("requestbody") or "", *definition.get("query", {}).values(), *definition.get("headers", {}).values()]
    used = {variable for text in texts for variable in variables_of(text)}
    outputs = definition.get("output", {})
    return KnownMethod(name, frozenset(used), frozenset(outputs), frozenset(key for key, path in outputs.items() if path.endswith("!")))
