"""Methods: the calls of an integration. Path, query, headers and body may hold <<Name>> and {{ JSONata }}."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from worker.config.automation import Method, RunTemplate
from worker.config.config_node import ConfigNode
from worker.config.definition import Compiled, Definition, build, compile_members
from worker.config.method_paths import compile_method_path
from worker.config.node_values import compiled_text, optional_run_template, run_template, run_templates
from worker.config.run_templates import OPEN_VARIABLE, compile_json_text, compile_run_template, split
from worker.config.template_lexer import OPEN, LiteralText, Unclosed
from worker.config.value_types import HEADER, Body, CallTimeout, Missing, Outputs, Parameter, Text
from worker.core.media_types import FORM, BodyKind, disagreement, is_json, media_type_of

CONTENT_TYPE = "content-type"
METHOD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
CREDENTIALS = frozenset(("authorization", "proxy-authorization", "cookie"))
CONNECTION_HEADERS = frozenset(
    ("host", "content-length", "content-encoding", "transfer-encoding", "connection", "proxy-connection", "keep-alive", "te", "trailer", "upgrade", "expect")
)


def compile_headers(node: ConfigNode) -> Mapping[str, RunTemplate]:
    found: dict[str, RunTemplate] = {}
    for name, member in node.members.items():
        lower = name.lower()
        if lower in CREDENTIALS:
            member.add_key_error(f"`{name}` belongs to the authorization: write it under `auth` (api_key takes any header)")
        elif lower in CONNECTION_HEADERS:
            member.add_key_error(f"`{name}` must be left out: the worker sets it")
        elif not HEADER.fullmatch(name):
            member.add_key_error(f"`{name}` cannot be the name of a header")
        elif any(lower == other.lower() for other in found):
            member.add_key_error(f"`{name}` is given twice")
        else:
            found[name] = run_template(member)
    return found


MethodPath = Annotated[Text, Compiled(compile_method_path)]
RunParameters = Annotated[dict[str, Parameter], Compiled(run_templates)]
Headers = Annotated[dict[str, Parameter], Compiled(compile_headers)]


class MethodDefinition(Definition):
    """One call of the API. Path, query, headers and body may hold <<Name>> and {{ JSONata }}."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(description="The HTTP method.")
    path: MethodPath = Field(
        description="The path after the base URL; a variable, as {name} or <<Name>>, makes one segment or a part of one.", examples=["/users/{id}"]
    )
    query: RunParameters = Field(default={}, description="Query parameters; null leaves one out.")
    headers: Headers = Field(default={}, description="Headers, besides those of the authorization.")
    body: Body = Field(
        default=None,
        description="The body: a mapping or list goes as JSON (or as a form, under that `Content-Type`), a text as it is, and a single <<Name>> or {{ … }} as JSON.",
    )
    missing: Missing = "fail"
    body_kind: BodyKind | None = Field(
        default=None, description="The format of the body; default: form under the `Content-Type` of forms, text for a longer text, otherwise json."
    )
    timeout: CallTimeout = Field(default=30.0, description="Maximum duration of the call, at most 10m.")
    output: Outputs = Field(
        default={}, description="Variables of the response, in Halo's grammar.", examples=[{"Text": "response^choices[0]^message^content!"}]
    )


def compile_method(definition: MethodDefinition, integration: str, node: ConfigNode) -> Method:
    if not METHOD_NAME.fullmatch(node.name):
        node.add_key_error(f"`{node.name}` cannot be the name of a method: letters, digits, `_` and `-`, beginning with a letter or digit")
    if definition.method == "GET" and definition.body is not None:
        node.child("body").add_key_error("a GET sends no `body`: use `query`, or another method")
    kind = body_kind(definition, node)
    compiled = compile_members(MethodDefinition, node)
    headers, body = compiled["headers"], optional_run_template(node.child("body"), definition.missing)
    if kind == "text" and claims_json(definition):
        body = compiled_text(node.child("body"), partial(compile_json_text, missing=definition.missing, name="body"))
        if not any(header.lower() == CONTENT_TYPE for header in headers):
            headers = headers | {"Content-Type": compile_run_template("application/json")}
    return build(Method, definition, compiled, name=node.name, integration=integration, verb=definition.method, headers=headers, body=body, body_kind=kind)


def body_kind(definition: MethodDefinition, node: ConfigNode) -> BodyKind:
    """The kind that the file names, or the one that the shape of the body implies."""
    body, given = definition.body, definition.body_kind
    if given is not None and body is None:
        node.child("body_kind").add_key_error("`body_kind` is given without a `body`")
    if given == "form" and not (isinstance(body, dict) and not any(isinstance(value, (dict, list)) for value in body.values())):
        node.child("body").add_error("a form is a mapping from names to texts, numbers, true or false")
    if given == "text" and not isinstance(body, str):
        node.child("body").add_error("`body_kind: text` needs a text; put it in quotes or behind `|`")
    header = next((member for name, member in node.child("headers").members.items() if name.lower() == CONTENT_TYPE), None)
    content_type = content_type_of(definition)
    if given is None and isinstance(body, dict) and media_type_of(content_type) == FORM:
        given = "form"
        if any(isinstance(value, (dict, list)) for value in body.values()):
            node.child("body").add_error("a form is a mapping from names to texts, numbers, true or false")
    kind = given or default_kind(body)
    if header is not None and body is None:
        header.add_key_error("`Content-Type` is given without a `body`")
    elif header is not None and content_type and (problem := disagreement(content_type, kind)):
        header.add_error(problem)
    return kind


def content_type_of(definition: MethodDefinition) -> str:
    """The content type that the file names; empty where it names none, or holds variables."""
    given = next((value for name, value in definition.headers.items() if name.lower() == CONTENT_TYPE), "")
    return given if isinstance(given, str) and OPEN not in given and OPEN_VARIABLE not in given else ""


def claims_json(definition: MethodDefinition) -> bool:
    """Whether a text goes out as JSON: its content type says so, or it looks like that and nothing says otherwise."""
    content_type = content_type_of(definition)
    named = any(name.lower() == CONTENT_TYPE for name in definition.headers)
    return isinstance(definition.body, str) and (is_json(content_type) if named else looks_like_json(definition.body))


def default_kind(body: object) -> BodyKind:
    """The kind that the shape of the body implies."""
    return "text" if isinstance(body, str) and not is_alone(body) else "json"


def is_alone(text: str) -> bool:
    """Whether a text is one variable or expression, which keeps its type."""
    try:
        pieces = split(text.strip())
    except Unclosed:
        return False
    return len(pieces) == 1 and not isinstance(pieces[0], LiteralText)


def looks_like_json(body: object) -> bool:
    return isinstance(body, str) and body.lstrip()[:1] in {"{", "["} and not body.lstrip().startswith("{{")
