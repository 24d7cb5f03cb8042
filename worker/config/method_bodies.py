"""Bodies of methods: their content and its kind."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from worker.config.config_node import ConfigNode
from worker.config.mappings import MissingRule, member_name
from worker.config.node_values import compiled_text, optional_run_template, run_template
from worker.config.run_templates import OPEN_VARIABLE, compile_json_text, split
from worker.config.run_values import RunTemplate
from worker.config.template_lexer import OPEN, LiteralText, Unclosed
from worker.core.media_types import FORM, BodyKind, disagreement, is_json, media_type_of

CONTENT_TYPE = "content-type"
WRAPPED: tuple[BodyKind, ...] = ("multipart", "base64")
"""Kinds that the only member of a body names: `body: {base64: "<<File>>"}`."""
FILE_MEMBERS = ("base64", "filename", "content_type")
FORM_RULE = "a form is a mapping from names to texts, numbers, true or false"


def compile_body(node: ConfigNode, kind: BodyKind, missing: MissingRule, headers: Mapping[str, Any]) -> RunTemplate | None:
    """Compile the body. `node`: of the method; `headers`: by name, as in the file."""
    body = node.child("body")
    if kind in WRAPPED:
        return run_template(body.child(kind), missing)
    if kind == "text" and claims_json(body.value, headers):
        return compiled_text(body, partial(compile_json_text, missing=missing, name="body"))
    return optional_run_template(body, missing)


def body_kind(body: Any, given: BodyKind | None, headers: Mapping[str, Any], node: ConfigNode) -> BodyKind:
    """The kind that the file names, or the one that the shape of the body implies. Adds the errors of both."""
    place = node.child("body")
    if given is not None and body is None:
        node.child("body_kind").add_key_error("`body_kind` is given without a `body`")
    content_type = content_type_of(headers)
    kind = given or (wrapper_of(body) or ("form" if isinstance(body, dict) and media_type_of(content_type) == FORM else default_kind(body)))
    if kind in WRAPPED and wrapper_of(body) != kind and body is not None:
        node.child("body_kind").add_error(f"`body_kind: {kind}` needs `body: {{{kind}: …}}` and nothing beside it")
    elif kind == "multipart":
        check_parts(place.child("multipart"))
    elif kind == "base64" and not (isinstance(body["base64"], str) and body["base64"]):
        place.child("base64").add_error("`base64` must be text: the file in Base64, as <<Name>>")
    if kind == "form" and not (isinstance(body, dict) and not any(isinstance(value, (dict, list)) for value in body.values())):
        place.add_error(FORM_RULE)
    if given == "text" and not isinstance(body, str):
        place.add_error("`body_kind: text` needs a text; put it in quotes or behind `|`")
    header = next((member for name, member in node.child("headers").members.items() if name.lower() == CONTENT_TYPE), None)
    if header is not None and body is None:
        header.add_key_error("`Content-Type` is given without a `body`")
    elif header is not None and content_type and (problem := disagreement(content_type, kind)):
        header.add_error(problem)
    return kind


def wrapper_of(body: Any) -> BodyKind | None:
    """The kind that the only member of a body names."""
    return next((kind for kind in WRAPPED if isinstance(body, dict) and list(body) == [kind]), None)


def check_parts(node: ConfigNode) -> None:
    """Check that parts are texts, numbers, true or false, or files."""
    if not isinstance(node.value, dict) or not node.value:
        node.add_error("`multipart` is a mapping from names to texts, numbers, true, false or files ({base64: …, filename: …})")
    for name, part in node.members.items():
        if isinstance(part.value, list):
            part.add_error(f"`{name}` must be text, a number, true, false or a file ({{base64: …, filename: …}})")
        for member in part.members:
            if member_name(member)[0] not in FILE_MEMBERS:
                part.child(member).add_key_error(f"unknown key `{member}` in a file; valid are {', '.join(FILE_MEMBERS)}")
        if isinstance(part.value, dict) and "base64" not in part.value:
            part.add_key_error(f"`base64` is missing: the part `{name}` is a file")


def content_type_of(headers: Mapping[str, Any]) -> str:
    """The content type that the file names; empty where it names none, or holds variables."""
    given = next((value for name, value in headers.items() if name.lower() == CONTENT_TYPE), "")
    return given if isinstance(given, str) and OPEN not in given and OPEN_VARIABLE not in given else ""


def claims_json(body: Any, headers: Mapping[str, Any]) -> bool:
    """Whether a text is sent as JSON: its content type says so, or it looks like JSON and has no other content type."""
    named = any(name.lower() == CONTENT_TYPE for name in headers)
    return isinstance(body, str) and (is_json(content_type_of(headers)) if named else looks_like_json(body))


def default_kind(body: Any) -> BodyKind:
    """The kind that the shape of the body implies."""
    return "text" if isinstance(body, str) and not keeps_type(body) else "json"


def keeps_type(text: str) -> bool:
    """Whether a text is one variable or expression, which keeps its type."""
    try:
        pieces = split(text.strip())
    except Unclosed:
        return False
    return len(pieces) == 1 and not isinstance(pieces[0], LiteralText)


def looks_like_json(body: str) -> bool:
    return body.lstrip()[:1] in {"{", "["} and not body.lstrip().startswith("{{")
