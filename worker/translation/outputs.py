"""Variables from answers: output variables of methods, and the variable mappings of steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.config.node_values import no_variable
from worker.config.variables import VariableSyntaxError, parse_variable
from worker.translation.report import Untranslatable
from worker.translation.texts import excerpt, unwrapped

OUTPUT = 4
"""The `type` of such a row."""
OBJECT, ARRAY, TEXT, INTEGER, FLOAT, BOOLEAN, TIME = range(7)
"""The `data_type` of a variable."""


def read_outputs(rows: Any) -> dict[str, str]:
    """Return the expressions by variable. Raises `Untranslatable`."""
    found: dict[str, str] = {}
    for name, value in keyed(rows):
        if reason := no_variable(name):
            raise Untranslatable(f"output variable: {reason}")
        if name in found:
            raise Untranslatable(f"the output variable `{name}` is given twice")
        inner = unwrapped(value)
        try:
            found[name] = str(parse_variable(inner))
        except VariableSyntaxError as error:
            raise Untranslatable(f"the output variable `{name}` is `{excerpt(inner)}`: {error}") from None
    return found


def keyed(rows: Any) -> list[tuple[str, str]]:
    """Return the pairs of `key` and `value` of a list of rows. Raises `Untranslatable`."""
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise Untranslatable("a list of keys and values is no list")
    found: list[tuple[str, str]] = []
    for each in rows:
        key, value = (each.get("key"), each.get("value")) if isinstance(each, Mapping) else (None, None)
        if not isinstance(key, str) or not key or not isinstance(value, str | None):
            raise Untranslatable("a row has no `key`, or its `value` is no text")
        found.append((key, value or ""))
    return found


def write_outputs(outputs: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"type": OUTPUT, "data_type": TEXT if path.endswith("!") else OBJECT, "key": name, "value": f"<<{path}>>"} for name, path in outputs.items()]
