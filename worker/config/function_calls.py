"""Finds the calls of `$fail`, `$date`, `$table` and `$id` in an expression, and checks their literal arguments."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from worker.config.template_lexer import Token

DATE: Final = "$date"
FAIL: Final = "$fail"
ID: Final = "$id"
TABLE: Final = "$table"
NAMES: Final = frozenset((DATE, FAIL, ID, TABLE))
COMPONENTS: Final = "YMDdFWwXxHhPmsfZzCE"
COMPONENT: Final = re.compile(r"\[\s*(\S)")
CLOSING: Final = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """One call. `start`: its offset. `arguments`: the tokens of each, without space; `members`: of the object that is the second argument."""

    name: str
    start: int
    arguments: tuple[tuple[Token, ...], ...]
    members: frozenset[str] = field(default_factory=frozenset)

    def literal(self, index: int) -> str | None:
        """The text of an argument that is one literal text."""
        found = self.arguments[index] if index < len(self.arguments) else ()
        return literal_value(found[0].text) if len(found) == 1 and found[0].kind == "string" else None


def calls_of(pieces: Sequence[Token]) -> list[FunctionCall]:
    """Return the calls in order. A name that the expression also uses without a call is the author's variable, not one of these functions."""
    written = [token for token in pieces if token.kind not in {"space", "comment"}]
    called = [index for index, token in enumerate(written[:-1]) if token.text in NAMES and token.kind == "variable" and written[index + 1].text == "("]
    own = {token.text for index, token in enumerate(written) if token.kind == "variable" and index not in called}
    return [call_at(written, index) for index in called if written[index].text not in own]


def call_at(written: Sequence[Token], index: int) -> FunctionCall:
    arguments = tuple(tuple(argument) for argument in separated(written, index + 2))
    token = written[index]
    members = frozenset(names_of(arguments[1])) if token.text == ID and len(arguments) > 1 else frozenset[str]()
    return FunctionCall(token.text, token.start, arguments, members)


def separated(written: Sequence[Token], index: int) -> list[list[Token]]:
    """Return the pieces between the commas, up to the closing bracket; empty if there are none."""
    found: list[list[Token]] = [[]]
    owed: list[str] = []
    for token in written[index:]:
        if not owed and token.kind == "mark" and token.text in ")]}":
            break
        if not owed and token.text == ",":
            found.append([])
            continue
        if token.kind == "mark" and token.text in CLOSING:
            owed.append(CLOSING[token.text])
        elif owed and token.kind == "mark" and token.text == owed[-1]:
            owed.pop()
        found[-1].append(token)
    return found if found != [[]] else []


def names_of(argument: Sequence[Token]) -> list[str]:
    """The names of the members of an object that is written out with literal names; empty for anything else."""
    if not argument or argument[0].text != "{" or argument[-1].text != "}":
        return []
    members = separated(argument, 1)
    names = [member[0] for member in members if len(member) > 1 and member[0].kind == "string" and member[1].text == ":"]
    whole = len(names) == len(members) and sum(len(member) for member in members) + len(members) + 1 == len(argument)
    return [literal_value(name.text) for name in names] if whole else []


def literal_value(text: str) -> str:
    """The value of a text in quotes, as JSONata reads it."""
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    inner = re.sub(r'\\.|"', lambda found: found[0] if len(found[0]) > 1 else '\\"', inner, flags=re.DOTALL)
    try:
        return str(orjson.loads(f'"{inner}"'))
    except orjson.JSONDecodeError:
        return text[1:-1]


def picture_problem(picture: str) -> str | None:
    """Return what a picture of `$date` lacks or must not have: a date without a year would get the present year."""
    if unknown := unknown_component(picture):
        return f"its picture has no component `{unknown}`; valid are {' '.join(COMPONENTS)}"
    components = {part.strip()[:1] for part in picture.replace("[[", "").split("[")[1:]}
    if components & set("dXxWwF") and not {"Y", "M"} <= components:
        return "its picture needs [Y] and [M]: a day of the year or a week is not checked"
    return None if {"Y", "M"} <= components else "its picture needs [Y] and [M], else the date depends on today's"


def unknown_component(picture: str) -> str | None:
    """Return the first component of a date's picture that JSONata does not know. `[[` is a literal bracket."""
    found = COMPONENT.findall(picture.replace("[[", ""))
    return next((letter for letter in found if letter not in COMPONENTS and letter != "]"), None)
