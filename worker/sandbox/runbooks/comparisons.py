"""The comparisons of condition steps. All criteria of a step must hold; a step without criteria holds."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from worker.sandbox.runbooks.values import MISSING, RunValues, plain_text

EQUALS, CONTAINS, IN_SET, HAS_VALUE = 0, 2, 23, 29
NEGATED = {1: EQUALS, 3: CONTAINS, 24: IN_SET, 30: HAS_VALUE}
ORDERED = {5: operator.gt, 6: operator.ge, 7: operator.lt, 8: operator.le}
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def all_hold(criteria: Sequence[Mapping[str, Any]], values: RunValues) -> bool:
    return all(holds(criterion, values) for criterion in criteria)


def holds(criterion: Mapping[str, Any], values: RunValues) -> bool:
    """Whether one criterion holds. Its value is compared as literal text: it is no variable. An operand without a value equals and contains no text."""
    actual, text, kind = operand(criterion, values), literal(criterion), criterion.get("type")
    shown = plain_text(actual) if actual is not MISSING else None
    if kind in ORDERED:
        return ordered(number(actual), float(text), ORDERED[kind])
    holding = {
        EQUALS: shown == text,
        CONTAINS: shown is not None and text in shown,
        IN_SET: shown in members(text),
        HAS_VALUE: actual is not MISSING and actual is not None and actual != "",
    }
    if kind in NEGATED:
        return not holding[NEGATED[kind]]
    return bool(holding.get(kind or 0, False))


def ordered(actual: float | None, wanted: float, compare: Callable[[float, float], bool]) -> bool:
    return actual is not None and compare(actual, wanted)


def operand(criterion: Mapping[str, Any], values: RunValues) -> Any:
    """Return the operand: a variable named `<<Name>>`, or a member of the ticket by its name. A name in another form finds no value."""
    field = str(criterion.get("fieldname") or "")
    if criterion.get("tablename") == "faults":
        return values.resolve(f"ticket^{field}")[0]
    found = re.fullmatch(r"<<([^\^]*)>>", field)
    return values.variables.get(found[1], (MISSING, False))[0] if found is not None else MISSING


def number(value: Any) -> float | None:
    """Return the number to compare: of a number, of a text that is a number, or the length of a list."""
    if isinstance(value, list):
        return float(len(value))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else None


def literal(criterion: Mapping[str, Any]) -> str:
    text, whole = criterion.get("value_string"), criterion.get("value_int")
    return str(text) if text else str(whole) if whole is not None else ""


def members(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]
