"""Finds `{{ … }}` in text. It reads the JSONata inside, so that braces in brackets, strings, comments, names and regular expressions do not close it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

OPEN = "{{"
CLOSING = {"(": ")", "[": "]", "{": "}"}
TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<comment>/\*.*?\*/)
      | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
      | (?P<quoted>`[^`]*`)
      | (?P<variable>\$[\w$]*)
      | (?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)
      | (?P<word>\w+)
      | (?P<unclosed>/\*|["'`])
      | (?P<mark>.)""",
    re.VERBOSE | re.DOTALL,
)
REGEX = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n])+/[im]*")
OPERANDS = frozenset(("string", "quoted", "variable", "number", "word", "regex"))
WORD_OPERATORS = frozenset(("and", "or", "in"))
WHAT_IS_OPEN = {"/*": "a comment", '"': "a string", "'": "a string", "`": "a quoted name"}


@dataclass(frozen=True, slots=True)
class Token:
    """One lexical piece of an expression; `kind` is a group of TOKEN, or `regex`."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class LiteralText:
    """Text outside of expressions; `start` is its offset."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Embedded:
    """The JSONata between braces; `start` is the offset of its first character."""

    text: str
    start: int


class Unclosed(ValueError):
    """`{{` without its `}}`; `start` is the offset for the error."""

    def __init__(self, message: str, start: int) -> None:
        super().__init__(message)
        self.start = start


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """Yield the pieces of a JSONata text. A slash begins a regular expression where an operand may begin; elsewhere it divides."""
    after_operand = False
    while start < len(text):
        regex = None if after_operand or text.startswith("/*", start) else REGEX.match(text, start)
        found = regex or TOKEN.match(text, start)
        if found is None:  # impossible: `mark` matches any character
            return
        kind = "regex" if regex else str(found.lastgroup)
        token = Token(kind, found[0], start)
        yield token
        start = token.end
        if kind not in {"space", "comment"}:
            after_operand = ends_operand(token, after_operand)


def ends_operand(token: Token, after_operand: bool) -> bool:
    """Whether an operator follows this token; `*` and `%` are operands where an operand is expected."""
    if token.kind in OPERANDS:
        return not (after_operand and token.text in WORD_OPERATORS)
    return token.text in {")", "]", "}"} or (token.text in {"*", "%"} and not after_operand)


def closing_offset(text: str, start: int) -> int:
    """The offset of the `}}` that closes the expression beginning at `start`. Raises `Unclosed`."""
    owed: list[str] = []
    for token in tokens(text, start):
        if token.kind == "unclosed":
            raise Unclosed(f"`{{{{` is not closed: {WHAT_IS_OPEN[token.text]} inside it has no end", token.start)
        if token.kind != "mark":
            continue
        if owed and token.text == owed[-1]:
            owed.pop()
        elif token.text in CLOSING:
            owed.append(CLOSING[token.text])
        elif token.text == "}" and text.startswith("}}", token.start):
            return token.start  # also with open brackets: the engine then reports the missing one
    raise Unclosed("`{{` is not closed: `}}` is missing", start - len(OPEN))


def parts(text: str) -> list[LiteralText | Embedded]:
    """The text in order, literal and embedded. Raises `Unclosed`."""
    found: list[LiteralText | Embedded] = []
    start = 0
    while (opening := text.find(OPEN, start)) >= 0:
        if opening > start:
            found.append(LiteralText(text[start:opening], start))
        begin = opening + len(OPEN)
        end = closing_offset(text, begin)
        found.append(Embedded(text[begin:end], begin))
        start = end + 2
    if start < len(text):
        found.append(LiteralText(text[start:], start))
    return found


def whole(text: str) -> Embedded | None:
    """The expression of a text that is one expression with space around it; None for any other text. Raises `Unclosed`."""
    if not text.lstrip().startswith(OPEN):
        return None
    pieces = [part for part in parts(text) if isinstance(part, Embedded) or part.text.strip()]
    return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], Embedded) else None
