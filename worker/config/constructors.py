"""Reads the literal objects, arrays and values in a JSONata expression, without evaluating it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from worker.config.documents import DocumentValue, Member, SourcePosition
from worker.config.expression_literals import string_value
from worker.config.result_types import concatenated, result_example
from worker.config.template_lexer import Token, tokens

CLOSING = {"(": ")", "[": "]", "{": "}"}
WORDS: Mapping[str, Any] = {"true": True, "false": False, "null": None}
OF_A_PATH = frozenset({"word", "quoted", "variable"})
Pieces = Sequence[Token]


def parse_constructor(text: str, spot: SourcePosition, start: int) -> DocumentValue:
    """Return the value that an expression makes; `start` is its offset in the text of the spot's node."""
    written = [token for token in tokens(text) if token.kind not in {"space", "comment"}]
    return ConstructorParser(spot, start, {}).value(written)


@dataclass(frozen=True, slots=True)
class ConstructorParser:
    """`variables`: the values that earlier statements have set."""

    spot: SourcePosition
    start: int
    variables: Mapping[str, DocumentValue]

    def value(self, written: Pieces) -> DocumentValue:
        """Return the value of all these pieces; `computed` unless they are an object, an array, a literal, or a choice of these."""
        if not written:
            return DocumentValue("computed", self.spot)
        spot = self.at(written[0])
        if len(written) == 1:
            return self.single(written[0], spot)
        if (parts := ternary(written)) is not None:
            return DocumentValue("choice", spot, items=tuple(map(self.value, parts)))
        if written[-2].text + written[-1].text == "[]" and written[-1].kind == "mark" and len(written) > len("[]"):
            return DocumentValue("array", spot, items=(self.value(written[:-2]),))
        opening = opening_of(written)
        if opening == 0:
            return self.enclosed(written, spot)
        if opening > 1 and written[opening].text == "{" and written[opening - 1].text == "." and is_path(written[: opening - 1]):
            return self.enclosed(written[opening:], self.at(written[opening]))  # an object for each value of a path
        if written[0].text == "-" and len(written) == len("-1") and written[1].kind == "number":
            return replace(self.single(written[1], spot), literal=-number(written[1].text))
        return runtime_value(written, spot)

    def at(self, token: Token) -> SourcePosition:
        return replace(self.spot, offset=self.start + token.start)

    def single(self, token: Token, spot: SourcePosition) -> DocumentValue:
        if token.kind == "string":
            return DocumentValue("literal", spot, literal=string_value(token.text))
        if token.kind == "number":
            return DocumentValue("literal", spot, literal=number(token.text))
        if token.text in WORDS:
            return DocumentValue("literal", spot, literal=WORDS[token.text])
        return self.variables.get(token.text) or DocumentValue("computed", spot)

    def enclosed(self, written: Pieces, spot: SourcePosition) -> DocumentValue:
        """Return the value of pieces inside one pair of brackets."""
        if written[0].text == "(":
            return self.block(separated(written[1:-1], ";"))
        given = [part for part in separated(written[1:-1], ",") if part]
        if written[0].text == "[":
            return DocumentValue("array", spot, items=tuple(map(self.value, given)))
        members = [member for pair in given if (member := self.member(pair)) is not None]
        return DocumentValue("object", spot, tuple(members), complete=len(members) == len(given))

    def member(self, pair: Pieces) -> Member | None:
        """Return a member of an object; None if its name is computed."""
        if len(pair) < len("k:v") or pair[0].kind != "string" or pair[1].text != ":":
            return None
        return Member(string_value(pair[0].text), self.at(pair[0]), self.value(pair[2:]))

    def block(self, statements: Sequence[Pieces]) -> DocumentValue:
        """The value of the last statement."""
        known = dict(self.variables)
        given = [statement for statement in statements if statement]
        for statement in given:
            if len(statement) > len("$v:=") - 1 and statement[0].kind == "variable" and statement[1].text + statement[2].text == ":=":
                known[statement[0].text] = replace(self, variables=known).value(statement[3:])
        return replace(self, variables=known).value(given[-1]) if given else DocumentValue("computed", self.spot)


def runtime_value(written: Pieces, spot: SourcePosition) -> DocumentValue:
    """Return the known part of a value that only a run computes: its type, or the literal pieces of a text."""
    around = depths(written)
    if concatenated(written, around):
        pieces = (string_value(token.text) for index, token in enumerate(written) if token.kind == "string" and around[index] == 0)
        return DocumentValue("text", spot, literal=tuple(pieces))
    example = result_example(written, around)
    return DocumentValue("computed", spot) if example is None else DocumentValue("result", spot, literal=example)


def depths(written: Pieces) -> list[int]:
    """The depth of brackets before each piece, and after the last."""
    found = [0]
    for token in written:
        opens, closes = token.kind == "mark" and token.text in CLOSING, token.kind == "mark" and token.text in CLOSING.values()
        found.append(found[-1] + opens - closes)
    return found


def separated(written: Pieces, mark: str) -> list[Pieces]:
    """Return the pieces between the marks, outside of brackets."""
    around = depths(written)
    places = [index for index, token in enumerate(written) if token.text == mark and token.kind == "mark" and around[index] == 0]
    return [written[start + 1 : end] for start, end in pairwise([-1, *places, len(written)])]


def opening_of(written: Pieces) -> int:
    """The index of the bracket that the last piece closes; -1 for any other piece."""
    if written[-1].kind != "mark" or written[-1].text not in CLOSING.values():
        return -1
    around = depths(written)
    return next((index for index in range(len(written) - 2, -1, -1) if around[index] == around[-1]), -1)


def ternary(written: Pieces) -> tuple[Pieces, Pieces] | None:
    """The two values of `condition ? one : other`; None for anything else."""
    around, owed, first = depths(written), 0, -1
    for index, token in enumerate(written):
        if token.kind != "mark" or around[index] != 0:
            continue
        if token.text == "?":
            if written[index + 1 : index + 2] and written[index + 1].text in {"?", ":"}:
                return None
            first = index if first < 0 else first
            owed += 1
        elif token.text == ":" and first >= 0:
            owed -= 1
            if owed == 0:
                return written[first + 1 : index], written[index + 1 :]
    return None


def is_path(written: Pieces) -> bool:
    """Whether the pieces are a path: only names with dots, predicates and calls, so that the object is not a part of another value."""
    around = depths(written)
    return all(around[index] > 0 or token.kind in OF_A_PATH or token.text in {".", *CLOSING, *CLOSING.values()} for index, token in enumerate(written))


def number(text: str) -> int | float:
    return int(text) if text.isdecimal() else float(text)
