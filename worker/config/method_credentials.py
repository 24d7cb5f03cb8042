"""Checks credentials in the headers of methods: where they are allowed, and that their variables have names that displays mask."""

from __future__ import annotations

from collections.abc import Iterator

from worker.config.automation import Method
from worker.config.config_node import ConfigNode
from worker.config.run_templates import PAYLOADS, Reference, split
from worker.config.template_lexer import Embedded, Unclosed
from worker.config.variables import MemberPart, VariableSyntaxError, parse_variable
from worker.core.header_names import is_credential_header
from worker.core.redaction import is_secret_name

NAMES = "`token`, `secret`, `password`, `cookie` or `api_key`"


def check_credentials(method: ConfigNode, *, allowed: bool) -> None:
    """Add an error for each credential header that the method must not set, and for each variable in such a header that displays would show.

    A variable of a run travels in its messages. Displays mask it by its name.
    """
    for name, member in method.child("headers").members.items():
        if is_credential_header(name) and not allowed:
            member.add_key_error(f"`{name}` belongs to the authorization: write it under `auth` (api_key takes any header), or set `auth: {{type: none}}`")
        elif is_credential_header(name) or is_secret_name(name):
            check_names(member, name, strict=is_credential_header(name))


def check_names(node: ConfigNode, header: str, *, strict: bool) -> None:
    for piece in pieces(node):
        if isinstance(piece, Embedded):
            if strict:
                node.add_error(f"`{header}` takes <<Name>> and no expression: its value could not be masked in messages and displays", piece.start)
        elif not is_secret_name(shown := last_name(piece.text.strip())):
            message = f"the value of `{shown}` is a credential here, and displays mask credentials by name: let the name end in {NAMES}"
            if strict:
                node.add_error(message, piece.start)
            else:
                node.add_warning(message, piece.start)


def last_name(text: str) -> str:
    """Return the name of a `<<…>>` value in a message."""
    if not PAYLOADS.match(text):
        return text
    try:
        parts = parse_variable(text).parts
    except VariableSyntaxError:
        return text
    return next((part.name for part in reversed(parts) if isinstance(part, MemberPart)), text)


def check_login_method(method: Method, node: ConfigNode) -> None:
    """Add an error for each variable of a login: a login belongs to no run. Also add an error for answers that hold no token."""
    for each in text_nodes(node):
        for piece in pieces(each):
            if not isinstance(piece, Embedded):
                each.add_error(f"`<<{piece.text.strip()}>>` has no value here: the worker logs in for all runs; write ${{NAME}} or ${{file:NAME}}", piece.start)
    if any(not isinstance(part, str) for part in method.path) and "{" in str(node.child("path").value).replace("${", ""):
        node.child("path").add_error("the path of a login takes no variables of a run")
    for name in ("pages", "response_kind"):
        if name in node:
            node.child(name).add_key_error(f"`{name}` is not for a method that logs in")


def text_nodes(node: ConfigNode) -> Iterator[ConfigNode]:
    """Every text of a method that is filled in."""
    if isinstance(node.value, str) and node.name != "output":
        yield node
    for key, child in node.children.items():
        if key != "output":
            yield from text_nodes(child)


def pieces(node: ConfigNode) -> list[Embedded | Reference]:
    """The variables and expressions of a text; none where it is broken, which compilation reports."""
    if not isinstance(node.value, str):
        return []
    try:
        return [piece for piece in split(node.value) if isinstance(piece, (Embedded, Reference))]
    except Unclosed:
        return []
