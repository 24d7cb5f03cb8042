"""Translates the criteria of a condition step of Halo to JSONata, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.translation.halo_steps import is_number
from worker.translation.report import Untranslatable
from worker.translation.texts import excerpt, jsonata_name, read_variable, unwrapped

EQUALS, DIFFERS, CONTAINS, LACKS, GREATER, AT_LEAST, LESS, AT_MOST, IN_SET, NOT_IN_SET, HAS_VALUE, NO_VALUE = 0, 1, 2, 3, 5, 6, 7, 8, 23, 24, 29, 30
ORDER = {GREATER: ">", AT_LEAST: ">=", LESS: "<", AT_MOST: "<="}
NUMBER = r"/^-?[0-9]+([.][0-9]+)?$/"
JOIN = " and "
VARIABLES, TICKETS = "runbookvariable", "faults"
PLAIN_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPERAND = r"(?:`[^`]*`|[A-Za-z_][A-Za-z0-9_]*|request\.ticket\.[A-Za-z_][A-Za-z0-9_]*)"
TEXT = r'"(?:\\.|[^"\\])*"'


@dataclass(frozen=True, slots=True)
class Criterion:
    """One row: an operand in JSONata, the number of the comparison, and the literal value."""

    operand: str
    type: int
    value: str = ""

    @property
    def jsonata(self) -> str:
        """Return the comparison. It never fails: a comparison without a meaning, or without a value, is false."""
        text, literal = f"$string({self.operand})", json.dumps(self.value, ensure_ascii=False)
        match self.type:
            case 0:
                return f"{text} = {literal}"
            case 1:
                return f"({text} = {literal} ? false : true)"
            case 2:
                return f"$contains({text}, {literal})"
            case 3:
                return f"($contains({text}, {literal}) ? false : true)"
            case 23 | 24:
                listed = f"{text} in {json.dumps(members(self.value), ensure_ascii=False)}"
                return listed if self.type == IN_SET else f"({listed} ? false : true)"
            case 29:
                return f'($exists({self.operand}) and $not({self.operand} = null) and $not({self.operand} = ""))'
            case 30:
                return f'$not($exists({self.operand}) and $not({self.operand} = null) and $not({self.operand} = ""))'
            case _:
                return ordered(self.operand, ORDER[self.type], self.value)


def ordered(operand: str, sign: str, value: str) -> str:
    """Return a comparison of numbers, of texts that are numbers, and of the lengths of lists."""
    number = f'$type({operand}) = "number" ? {operand}'
    text = f'$type({operand}) = "string" ? ($contains({operand}, {NUMBER}) ? $number({operand}))'
    return f'($type({operand}) = "array" ? $count({operand}) : {number} : {text}) {sign} {value}'


def members(value: str) -> list[str]:
    return [part.strip() for part in value.split(",")]


def condition(rows: Sequence[Any]) -> str:
    """Return the condition: all rows must hold; without rows it always holds. Raises `Untranslatable`."""
    return JOIN.join(read_criterion(row).jsonata for row in rows) or "true"


def read_criterion(row: Any) -> Criterion:
    """Raises `Untranslatable`."""
    if not isinstance(row, Mapping):
        raise Untranslatable("a criterion is not an object")
    kind = row.get("type")
    if not is_number(kind) or kind not in {EQUALS, DIFFERS, CONTAINS, LACKS, *ORDER, IN_SET, NOT_IN_SET, HAS_VALUE, NO_VALUE}:
        raise Untranslatable(f"the comparison {kind!r} is not known")
    value = "" if kind in {HAS_VALUE, NO_VALUE} else literal(row)
    if kind in ORDER and not re.fullmatch(r"-?\d+(\.\d+)?", value):
        raise Untranslatable(f"`{excerpt(value)}` is not a number, and the comparison {kind} is for numbers")
    return Criterion(operand_of(row), int(kind), value)


def operand_of(row: Mapping[str, Any]) -> str:
    table, field = row.get("tablename"), row.get("fieldname")
    if not isinstance(field, str) or not field:
        raise Untranslatable("a criterion names no field")
    if table == TICKETS:
        if not PLAIN_FIELD.fullmatch(field):
            raise Untranslatable(f"`{excerpt(field)}` is not a member of a ticket")
        return f"request.ticket.{jsonata_name(field)}"
    if table != VARIABLES:
        raise Untranslatable(f"criteria over `{excerpt(str(table))}` have no counterpart: only those over variables and over the ticket of the event have one")
    if not (field.startswith("<<") and field.endswith(">>")):
        raise Untranslatable(f"`{excerpt(field)}` is not in `<<>>`, so Halo finds no such variable: the condition would never hold")
    variable = read_variable(unwrapped(field))
    if variable.path is not None:
        raise Untranslatable(f"`{excerpt(field)}` is not the name of a variable, so Halo does not find it")
    return jsonata_name(variable.text)


def literal(row: Mapping[str, Any]) -> str:
    """Return the value as text: `value_string`, or the number. Raises `Untranslatable`."""
    text, number = row.get("value_string"), row.get("value_int")
    if isinstance(text, str) and text:
        if "<<" in text:
            raise Untranslatable(
                f"`{excerpt(text)}` is compared as the literal text, since Halo compares no variable with a variable: the condition would never hold"
            )
        return text
    if isinstance(number, int) and not isinstance(number, bool):
        return str(number)
    if isinstance(text, str) or text is None:
        return ""
    raise Untranslatable("the value of a criterion is neither text nor a number")


def criteria(expression: str) -> list[dict[str, Any]]:
    """Return the rows for a condition in the form of `condition`; no rows if it always holds. Raises `Untranslatable` for any other expression."""
    text = expression.strip()
    rows: list[dict[str, Any]] = []
    while text and text != "true":
        found = next(((pattern.match(text), build) for pattern, build in FORMS if pattern.match(text)), None)
        if found is None or found[0] is None:
            raise Untranslatable(f"`{excerpt(expression)}` is not a condition that Halo can compare: compare one variable with one value, joined by `and`")
        rows.append(found[1](found[0]))
        text = text[found[0].end() :]
        if text and not text.startswith(JOIN):
            raise Untranslatable(f"`{excerpt(expression)}` is not a condition that Halo can compare: join comparisons by `and`")
        text = text.removeprefix(JOIN)
    return rows


def row(found: re.Match[str], kind: int, value: Any) -> dict[str, Any]:
    operand = found["operand"]
    ticket = operand.startswith("request.ticket.")
    field = operand.removeprefix("request.ticket.").strip("`")
    made: dict[str, Any] = {"tablename": TICKETS if ticket else VARIABLES, "fieldname": field if ticket else f"<<{field}>>", "type": kind}
    if isinstance(value, int):
        return made | {"value_type": "int", "value_int": value}
    return made | ({"value_type": "string", "value_string": value} if value is not None else {})


def form(kind: int, template: str, value: Callable[[re.Match[str]], Any]) -> tuple[re.Pattern[str], Callable[[re.Match[str]], dict[str, Any]]]:
    """Return a written form: `OPERAND` for the first operand, `SAME` for its repetition, `VALUE` for the literal."""
    pattern = re.escape(template).replace("OPERAND", f"(?P<operand>{OPERAND})", 1).replace("SAME", "(?P=operand)").replace("VALUE", f"(?P<value>{TEXT})")
    pattern = pattern.replace("LIST", rf"(?P<value>\[(?:{TEXT}(?:, )?)*\])").replace("NUMERAL", r"(?P<value>-?\d+(?:\.\d+)?)")
    return re.compile(pattern), lambda found: row(found, kind, value(found))


def text_value(found: re.Match[str]) -> Any:
    return json.loads(found["value"])


def list_value(found: re.Match[str]) -> Any:
    return ",".join(json.loads(found["value"]))


def number_value(found: re.Match[str]) -> Any:
    return int(found["value"]) if re.fullmatch(r"-?\d+", found["value"]) else found["value"]


HAS = '$exists(OPERAND) and $not(SAME = null) and $not(SAME = "")'
FORMS = (
    form(NO_VALUE, f"$not({HAS})", lambda _: None),
    form(HAS_VALUE, f"({HAS})", lambda _: None),
    form(DIFFERS, "($string(OPERAND) = VALUE ? false : true)", text_value),
    form(NOT_IN_SET, "($string(OPERAND) in LIST ? false : true)", list_value),
    form(LACKS, "($contains($string(OPERAND), VALUE) ? false : true)", text_value),
    form(CONTAINS, "$contains($string(OPERAND), VALUE)", text_value),
    form(IN_SET, "$string(OPERAND) in LIST", list_value),
    form(EQUALS, "$string(OPERAND) = VALUE", text_value),
    *(form(kind, ordered("OPERAND", sign, "NUMERAL").replace("OPERAND", "SAME").replace("SAME", "OPERAND", 1), number_value) for kind, sign in ORDER.items()),
)
