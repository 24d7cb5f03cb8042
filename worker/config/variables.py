"""Halo's grammar for output variables: `response^choices[0]^message^content!`, `request^ticket^id`, `response[id=123]`.

`response` or `request` is the whole document; `^name` is a member of an object; `[n]` an element of an array, from 0; `[name=value]` the first element of an array
whose member `name` is `value`. They follow each other in any order. A trailing `!` removes the quotes around a text. A name ends at the next `^` or `[`, a value at
the next `]`.

Beyond Halo's grammar, for other APIs: `headers^Location!` is a header (in any case), `cookies^session!` a cookie that the answer sets, `status` its number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from worker.core.suggest import did_you_mean

ROOTS = ("response", "request")
ANSWER_ROOTS = ("headers", "cookies", "status")
"""Roots in the answer to a method; a run does not keep them."""
KNOWN = (*ROOTS, *ANSWER_ROOTS)
NAME = re.compile(r"[^\^\[\]\x00-\x1f\x7f]+")
ROOT = re.compile(r"[^\^\[\]!]*")
INDEX = re.compile(r"[0-9]{1,9}")
SIGNED = re.compile(r"[-+]?[0-9]+")
FORMS = "`[n]` is an element by its number, `[name=value]` the first one that matches"
WORDS = {True: "true", False: "false", None: "null"}


@dataclass(frozen=True, slots=True)
class PathResult:
    """The result of a path: `there` is False when a part of the path is missing."""

    value: Any
    there: bool


NOTHING = PathResult(None, there=False)


@dataclass(frozen=True, slots=True)
class MemberPart:
    """`^name`: a member of an object; names are compared exactly."""

    name: str

    def __str__(self) -> str:
        return f"^{self.name}"

    def of(self, value: Any) -> PathResult:
        """The member of an object, where it has it."""
        return PathResult(value[self.name], there=True) if isinstance(value, dict) and self.name in value else NOTHING


@dataclass(frozen=True, slots=True)
class ElementPart:
    """`[n]`: an element of an array, from 0."""

    index: int

    def __str__(self) -> str:
        return f"[{self.index}]"

    def of(self, value: Any) -> PathResult:
        """The element of an array, where it is long enough."""
        return PathResult(value[self.index], there=True) if isinstance(value, list) and self.index < len(value) else NOTHING


@dataclass(frozen=True, slots=True)
class MatchPart:
    """`[name=value]`: the first element of an array whose member equals the text; a number equals its digits, and the others are `true`, `false` and `null`."""

    member: str
    value: str

    def __str__(self) -> str:
        return f"[{self.member}={self.value}]"

    def of(self, value: Any) -> PathResult:
        """The first such element of an array; it skips elements that are not objects."""
        if not isinstance(value, list):
            return NOTHING
        matching = (item for item in value if isinstance(item, dict) and self.member in item and is_json_text_of(item[self.member], self.value))
        return next((PathResult(item, there=True) for item in matching), NOTHING)


def is_json_text_of(value: Any, text: str) -> bool:
    """Whether this text is the JSON text of a value, without quotes."""
    if isinstance(value, str):
        return value == text
    if value is None or isinstance(value, bool):
        return WORDS[value] == text
    if isinstance(value, float):
        return text == repr(value) or (value.is_integer() and text == str(int(value)))
    return isinstance(value, (int, Decimal)) and str(value) == text


@dataclass(frozen=True, slots=True)
class VariablePath:
    """A parsed expression. `root`: one of `ROOTS` and `ANSWER_ROOTS`; `plain`: it ended in `!`. Its text is the expression again."""

    root: str
    parts: tuple[MemberPart | ElementPart | MatchPart, ...]
    plain: bool

    def __str__(self) -> str:
        return f"{self.root}{''.join(map(str, self.parts))}{'!' if self.plain else ''}"

    def find(self, document: Any) -> PathResult:
        """Follow the path in `document`, the value of the root. Never raises."""
        return self.follow(document)[0]

    def missing(self, document: Any) -> str | None:
        """Return the path up to and including the missing part, such as `response^choices[0]`; None when no part is missing."""
        found, count = self.follow(document)
        return None if found.there else f"{self.root}{''.join(map(str, self.parts[:count]))}"

    def follow(self, document: Any) -> tuple[PathResult, int]:
        """The result, and the number of parts that were followed."""
        found = PathResult(document, there=True)
        for count, part in enumerate(self.parts, start=1):
            found = part.of(found.value)
            if not found.there:
                return NOTHING, count
        return found, len(self.parts)


class VariableSyntaxError(ValueError):
    """The text is not an expression of a variable; `column` counts from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.column = column


def parse_variable(text: str) -> VariablePath:
    """The path of an expression; space around it does not matter. Raises `VariableSyntaxError` with the expected syntax."""
    end = len(text.rstrip())
    start = len(text) - len(text.lstrip())
    plain = end > start and text[end - 1] == "!"
    end -= plain
    root = read_root(text, start, end)
    at = start + len(root)
    parts: list[MemberPart | ElementPart | MatchPart] = []
    while at < end:
        part, at = read_child(text, at, end) if text[at] == "^" else read_brackets(text, at, end)
        parts.append(part)
    if root in ANSWER_ROOTS:
        return answer_path(root, parts, start, plain=plain)
    return VariablePath(root, tuple(parts), plain)


def answer_path(root: str, parts: list[MemberPart | ElementPart | MatchPart], start: int, *, plain: bool) -> VariablePath:
    """`status` alone, or one header or cookie by its name; names of headers are in lower case."""
    wanted = 0 if root == "status" else 1
    if len(parts) != wanted or not all(isinstance(part, MemberPart) for part in parts):
        expected = "`status` stands alone" if root == "status" else f"`{root}` is followed by one name, as in `{root}^name!`"
        raise VariableSyntaxError(expected, start + len(root) + 1)
    named = [MemberPart(part.name.strip().lower()) if root == "headers" else part for part in parts if isinstance(part, MemberPart)]
    return VariablePath(root, tuple(named), plain)


def read_root(text: str, start: int, end: int) -> str:
    found = ROOT.match(text, start, end)
    root = found[0] if found else ""
    if root in KNOWN:
        return root
    word = root.strip()
    if word in KNOWN:
        raise VariableSyntaxError(f"after `{word}` comes `^name`, `[…]` or the end, not a space", start + len(word) + 1)
    if word.startswith(tuple(f"{name}." for name in KNOWN)):
        raise VariableSyntaxError("a member is written with `^`, as in `response^name`", start + word.index(".") + 1)
    near = did_you_mean(word, KNOWN) if word else ""
    raise VariableSyntaxError(f"a variable's expression begins with `response` or `request`{near}", start + 1)


def read_child(text: str, at: int, end: int) -> tuple[MemberPart, int]:
    found = NAME.match(text, at + 1, end)
    if found is None or not found[0].strip():
        raise VariableSyntaxError("the name of a member is expected after `^`", at + 2)
    return MemberPart(found[0]), found.end()


def read_brackets(text: str, at: int, end: int) -> tuple[ElementPart | MatchPart, int]:
    """The part in brackets; `at` is the offset of the opening one."""
    if text[at] != "[":
        raise VariableSyntaxError("`]` without its `[`" if text[at] == "]" else "`^name`, `[…]` or the end is expected here", at + 1)
    close = text.find("]", at, end)
    if close < 0:
        raise VariableSyntaxError("`[` is not closed: `]` is missing", at + 1)
    inside = text[at + 1 : close]
    member, equals, value = inside.partition("=")
    if equals:
        return read_match(member, value.strip(), at + 2), close + 1
    number = inside.strip()
    if INDEX.fullmatch(number):
        return ElementPart(int(number)), close + 1
    if SIGNED.fullmatch(number):
        raise VariableSyntaxError(f"elements are counted from 0 up, with at most nine digits; {FORMS}", at + 2)
    raise VariableSyntaxError(f"a number or name=value is expected in brackets; {FORMS}", at + 2)


def read_match(member: str, value: str, column: int) -> MatchPart:
    name = member.strip()
    if not name:
        raise VariableSyntaxError("the name of a member is expected before `=`", column)
    if not NAME.fullmatch(name):
        raise VariableSyntaxError("the name of one member is expected before `=`, without `^` and brackets", column)
    return MatchPart(name, value)
