"""Translates bodies of Halo API actions: from JSON text with variables, bare or in quotes, to a mapping of a route file, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from worker.config.run_templates import Reference, split
from worker.config.template_lexer import Embedded, LiteralText, Unclosed
from worker.translation.report import Untranslatable
from worker.translation.texts import Variable, jsonata_name, jsonata_path, pieces, read_variable, to_halo_text, to_route_text

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|<<(?P<bare>.*?)>>', re.DOTALL)
BARE = "\ue002"
"""Marks a variable without quotes."""
AS_TEXT = re.compile(r"\s*\$string\((?P<operand>`[^`]*`|[A-Za-z_]\w*)\)\s*")


def read_body(message: Any, plain: Collection[str]) -> dict[str, Any]:
    """Return the mapping. `plain`: variables that hold texts, so that quotes around them change nothing. Raises `Untranslatable`."""
    if not isinstance(message, str) or not message.strip():
        raise Untranslatable("the action has no message, which is the JSON that it sends")

    def marked(found: re.Match[str]) -> str:
        return found[0] if found["bare"] is None else json.dumps(f"{BARE}{found['bare']}")

    try:
        body = json.loads(TOKEN.sub(marked, message), object_pairs_hook=unrepeated)
    except json.JSONDecodeError as error:
        raise Untranslatable(f"the message is not JSON (line {error.lineno}, column {error.colno})") from None
    except RecursionError:
        raise Untranslatable("the message is nested too deep") from None
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        raise Untranslatable("the message must be one JSON object")
    return {name: read_value(value, plain) for name, value in body.items()}


def unrepeated(members: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in members]
    if twice := next((name for index, name in enumerate(names) if name in names[:index]), None):
        raise Untranslatable(f"the message has the member `{twice}` twice")
    return dict(members)


def read_value(value: Any, plain: Collection[str]) -> Any:
    match value:
        case str() if value.startswith(BARE):
            return read_variable(value[1:]).ours
        case str():
            found = list(pieces(value))
            alone = found[0] if len(found) == 1 else None
            return quoted(alone, plain) if isinstance(alone, Variable) else to_route_text(value)
        case list():
            return [read_value(item, plain) for item in value]
        case Mapping():
            return {name: read_value(inner, plain) for name, inner in value.items()}
        case _:
            return value


def quoted(variable: Variable, plain: Collection[str]) -> str:
    """Return a single variable in quotes. In Halo it is always text; in a route file a single variable is text only if its value is."""
    if variable.text in plain or (variable.path is not None and variable.path.plain):
        return variable.ours
    return f"{{{{ $string({jsonata_name(variable.text) if variable.path is None else jsonata_path(variable.path)}) }}}}"


def write_body(body: Any, plain: Collection[str]) -> str:
    """Return the JSON text for a mapping. Raises `Untranslatable`."""
    if not isinstance(body, Mapping):
        raise Untranslatable("the body is one expression, and Halo needs its JSON")
    text = json.dumps({name: write_value(value, plain) for name, value in body.items()}, ensure_ascii=False)
    return re.sub(rf'"{BARE}([^"]*)"', r"<<\1>>", text)


def write_value(value: Any, plain: Collection[str]) -> Any:
    match value:
        case str():
            return write_text(value, plain)
        case list():
            return [write_value(item, plain) for item in value]
        case Mapping():
            if optional := next((name for name in value if name.endswith("?")), None):
                raise Untranslatable(f"the member `{optional}` may be left out, which Halo cannot")
            return {name: write_value(inner, plain) for name, inner in value.items()}
        case _:
            return value


def write_text(text: str, plain: Collection[str]) -> str:
    try:
        found = [piece for piece in split(text) if not isinstance(piece, LiteralText) or piece.text.strip()]
    except Unclosed as error:
        raise Untranslatable(str(error)) from None
    alone = found[0] if len(found) == 1 else None
    if isinstance(alone, Reference):
        name = alone.text.strip()
        return f"<<{name}>>" if name in plain or name.endswith("!") else f"{BARE}{name}"
    if isinstance(alone, Embedded) and (converted := AS_TEXT.fullmatch(alone.text)):
        return f"<<{converted['operand'].strip('`')}>>"
    return to_halo_text(text)
