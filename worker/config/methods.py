"""Methods: the calls of an integration. Path, query, headers and body may hold <<Name>> and {{ JSONata }}."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from worker.config.automation import Method
from worker.config.config_node import ConfigNode
from worker.config.definition import Compiled, Definition, build, compile_members
from worker.config.method_bodies import CONTENT_TYPE, body_kind, claims_json, compile_body
from worker.config.method_pages import PagesDefinition, compile_pages
from worker.config.method_paths import compile_method_path
from worker.config.node_values import run_template, run_templates
from worker.config.run_templates import compile_run_template
from worker.config.run_values import RunTemplate
from worker.config.value_types import Body, CallTimeout, Missing, Outputs, Parameter, Text
from worker.core.header_names import HEADER, is_connection_header
from worker.core.media_types import BodyKind

METHOD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def compile_headers(node: ConfigNode) -> Mapping[str, RunTemplate]:
    found: dict[str, RunTemplate] = {}
    for name, member in node.members.items():
        lower = name.lower()
        if is_connection_header(name):
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
    headers: Headers = Field(
        default={}, description="Headers, besides those of the authorization; with `auth: {type: none}` also `Authorization` and `Cookie`."
    )
    body: Body = Field(
        default=None,
        description="The body: a mapping or list goes as JSON (or as a form, under that `Content-Type`), a text as it is, and a single <<Name>> or {{ … }} as JSON."
        " `{multipart: …}` sends parts and files, `{base64: …}` the bytes of one file.",
    )
    missing: Missing = "fail"
    body_kind: BodyKind | None = Field(
        default=None,
        description="The format of the body; default: form under the `Content-Type` of forms, text for a longer text, otherwise json.",
    )
    response_kind: Literal["auto", "base64"] = Field(
        default="auto", description="How the answer is read: `auto` is JSON or text, `base64` is a file of at most 4 MiB, as Base64."
    )
    pages: PagesDefinition | None = Field(default=None, description="Follows the pages of a list, up to `max` pages, 8 MiB and `timeout` together.")
    timeout: CallTimeout = Field(default=30.0, description="Maximum duration of the call, at most 10m.")
    output: Outputs = Field(
        default={},
        description="Variables of the response, in Halo's grammar; also `headers^Name!`, `cookies^name!` and `status`.",
        examples=[{"Text": "response^choices[0]^message^content!"}],
    )


def compile_method(definition: MethodDefinition, integration: str, node: ConfigNode) -> Method:
    if not METHOD_NAME.fullmatch(node.name):
        node.add_key_error(f"`{node.name}` cannot be the name of a method: letters, digits, `_` and `-`, beginning with a letter or digit")
    if definition.method == "GET" and definition.body is not None:
        node.child("body").add_key_error("a GET sends no `body`: use `query`, or another method")
    kind = body_kind(definition.body, definition.body_kind, definition.headers, node)
    compiled = compile_members(MethodDefinition, node)
    headers, body = compiled["headers"], compile_body(node, kind, definition.missing, definition.headers)
    if kind == "text" and claims_json(definition.body, definition.headers) and not any(header.lower() == CONTENT_TYPE for header in headers):
        headers = headers | {"Content-Type": compile_run_template("application/json")}
    pages = compile_pages(definition.pages, definition.method, frozenset(definition.query), node.child("pages"))
    if pages is not None and definition.response_kind != "auto":
        node.child("response_kind").add_key_error("`response_kind` is given beside `pages`, whose answers are JSON")
    derived = {"verb": definition.method, "headers": headers, "body": body, "body_kind": kind, "pages": pages}
    return build(Method, definition, compiled, name=node.name, integration=integration, **derived)
