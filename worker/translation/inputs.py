"""The variables that a runbook document declares: variables of the payload become `input`, variables with their own value become a first step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.config.node_values import no_variable
from worker.config.variables import VariableSyntaxError, parse_variable
from worker.translation.outputs import ARRAY, BOOLEAN, FLOAT, INTEGER, OBJECT, TEXT
from worker.translation.report import TranslationReport, Untranslatable
from worker.translation.secrets import MARK
from worker.translation.texts import TICKET, escaped, excerpt

REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Inputs:
    """`paths`: expressions over the payload; `values`: values in the document itself; `plain`: names that hold texts."""

    paths: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    plain: set[str] = field(default_factory=set)

    @property
    def names(self) -> set[str]:
        return {*self.paths, *self.values}


def read_inputs(rows: Any, report: TranslationReport) -> Inputs:
    found = Inputs()
    if rows is not None and not isinstance(rows, list):
        report.refuse("input_variables", "`input_variables` is not a list")
        return found
    for row in rows or ():
        name = row.get("key") if isinstance(row, Mapping) else None
        if not isinstance(name, str) or not name:
            report.refuse("input_variables", "a variable has no name (`key`)")
        elif reason := no_variable(name):
            report.refuse(name, reason)
        elif name in found.names:
            report.refuse(name, f"the variable `{name}` is declared twice")
        else:
            try:
                read_input(name, row, found)
            except Untranslatable as error:
                report.refuse(name, str(error))
    return found


def read_input(name: str, row: Mapping[str, Any], found: Inputs) -> None:
    value, kind = row.get("value"), row.get("data_type", TEXT)
    if not isinstance(value, str | None):
        raise Untranslatable("the value of the variable is no text")
    text = (value or "").strip()
    if text.startswith("<<") and text.endswith(">>"):
        inner = TICKET.sub("request^ticket", text[2:-2], count=1)
        try:
            path = parse_variable(inner)
        except VariableSyntaxError as error:
            raise Untranslatable(f"the value `{excerpt(text)}` is no expression: {error}") from None
        if path.root != REQUEST:
            raise Untranslatable(f"the value `{excerpt(text)}` must begin with `request` or `ticket`: a run has nothing else at its start")
        found.paths[name] = str(path)
        found.plain.update({name} if path.plain else ())
        return
    if "<<" in text:
        raise Untranslatable(f"the value `{excerpt(text)}` mixes text and variables")
    found.values[name] = read_literal(value or "", kind)
    if isinstance(found.values[name], str):
        found.plain.add(name)


def read_literal(text: str, kind: Any) -> Any:
    """Return a literal value of the document. Halo's booleans are 1 and 0. Raises `Untranslatable`."""
    if kind not in (OBJECT, ARRAY, INTEGER, FLOAT, BOOLEAN) or isinstance(kind, bool):
        return escaped(text)
    if not text.strip():
        return "" if kind not in (ARRAY, OBJECT) else [] if kind == ARRAY else {}
    if MARK.search(text):
        return escaped(text)
    try:
        value = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise Untranslatable(f"the value `{excerpt(text)}` is not of its type (`data_type` {kind})") from None
    if kind == BOOLEAN and value not in (0, 1):
        raise Untranslatable(f"the value `{excerpt(text)}` is no boolean: Halo knows 1 and 0")
    expected = {OBJECT: dict, ARRAY: list, INTEGER: int, FLOAT: int | float, BOOLEAN: int}[kind]
    if not isinstance(value, expected) or isinstance(value, bool):
        raise Untranslatable(f"the value `{excerpt(text)}` is not of its type (`data_type` {kind})")
    return deep_escaped(value)


def refuse_constant(name: str) -> Any:
    raise ValueError(name)


def deep_escaped(value: Any) -> Any:
    match value:
        case str():
            return escaped(value)
        case list():
            return [deep_escaped(item) for item in value]
        case dict():
            return {name: deep_escaped(inner) for name, inner in value.items()}
        case _:
            return value


def write_input(name: str, value: Any, *, path: bool = False) -> dict[str, Any]:
    """Return the row of a variable; `path`: the value is an expression over the payload. Raises `Untranslatable`."""
    if path:
        return {"key": name, "value": f"<<{value}>>", "data_type": TEXT if str(value).endswith("!") else OBJECT}
    match value:
        case bool():
            return {"key": name, "value": "1" if value else "0", "data_type": BOOLEAN}
        case int():
            return {"key": name, "value": str(value), "data_type": INTEGER}
        case float():
            return {"key": name, "value": json.dumps(value), "data_type": FLOAT}
        case list() | dict():
            if holds_expression(value):
                raise Untranslatable(f"the variable `{name}` is computed, which Halo cannot")
            return {"key": name, "value": json.dumps(value, ensure_ascii=False), "data_type": ARRAY if isinstance(value, list) else OBJECT}
        case None:
            return {"key": name, "value": "", "data_type": TEXT}
        case _:
            if holds_expression(value):
                raise Untranslatable(f"the variable `{name}` is computed, which Halo cannot")
            return {"key": name, "value": str(value).replace("$${", "${"), "data_type": TEXT}


def holds_expression(value: Any) -> bool:
    match value:
        case str():
            return "{{" in value or "<<" in value
        case list():
            return any(map(holds_expression, value))
        case dict():
            return any(map(holds_expression, value.values()))
        case _:
            return False
