"""Checks the syntax, functions and variables of an expression without evaluating anything, not even constants."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

import jsonatapy

from worker.config.jsonata_errors import explain
from worker.config.template_lexer import Token, tokens
from worker.core.exact_numbers import EXACT, Numbers
from worker.core.suggest import did_you_mean

NEAR_THE_END: Final = 200  # pieces
MAX_SOURCE: Final = 64 * 1024  # characters
OPENING: Final = frozenset("([{,;:?=")  # valid tokens before the variable of a `:=`
MAX_PAD = 1_000_000  # characters; the engine's own `$pad` takes gigabytes and then minutes
# fmt: off
FUNCTIONS = frozenset((
    "abs", "append", "assert", "average", "base64decode", "base64encode", "boolean", "ceil", "contains", "count", "decodeUrl",
    "decodeUrlComponent", "distinct", "each", "encodeUrl", "encodeUrlComponent", "error", "exists", "filter", "floor", "formatBase",
    "formatInteger", "formatNumber", "fromMillis", "join", "keys", "length", "lookup", "lowercase", "map", "match", "max", "merge", "millis",
    "min", "not", "now", "number", "pad", "parseInteger", "power", "random", "reduce", "replace", "reverse", "round", "shuffle", "sift",
    "single", "sort", "split", "spread", "sqrt", "string", "substring", "substringAfter", "substringBefore", "sum", "toMillis", "trim", "type",
    "uppercase", "zip",
    "date", "fail", "id", "table",  # ours
))
# fmt: on


class ExpressionSyntaxError(ValueError):
    """The text is not JSONata; `offset` is the place of the error."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def parse_expression(text: str) -> frozenset[str]:
    """The variables that the text names, without their `$`. Raises `ExpressionSyntaxError` when it is not JSONata."""
    pieces = list(tokens(text))
    if len(text) > MAX_SOURCE:
        raise ExpressionSyntaxError(f"the expression has {len(text):,} characters; at most {MAX_SOURCE:,} are taken", 0)
    check_syntax(text)
    check_numbers(pieces)
    check_functions(pieces)
    check_assignments(pieces)
    return frozenset(token.text[1:] for token in pieces if token.kind == "variable")


def check_numbers(pieces: Sequence[Token]) -> None:
    """Raises `ExpressionSyntaxError` for a number that the engine would change."""
    for token in pieces:
        if token.kind == "number" and (isinstance(number := number_of(token.text), Decimal) or abs(number) > EXACT):
            raise ExpressionSyntaxError("expressions calculate with at most 15 digits, and with integers up to 2^53: write this number as text", token.start)


def number_of(text: str) -> float | Decimal:
    return Numbers().integer(text) if text.isdecimal() else Numbers().fraction(text)


def check_functions(pieces: Sequence[Token]) -> None:
    """Raises `ExpressionSyntaxError` for a function that neither JSONata nor the text defines."""
    written = [token for token in pieces if token.kind not in {"space", "comment"}]
    called = {token.start for token, after in pairwise(written) if token.kind == "variable" and after.text == "("}
    elsewhere = {token.text for token in written if token.kind == "variable" and token.start not in called}
    for token in written:
        name = token.text[1:]
        if token.text == "$eval":
            raise ExpressionSyntaxError("`$eval` is not available: expressions never run text from data", token.start)
        if token.start in called and name not in FUNCTIONS and token.text not in elsewhere:
            near = did_you_mean(name, FUNCTIONS).replace(" mean ", " mean $").replace(" or ", " or $")
            raise ExpressionSyntaxError(f"there is no function `{token.text}`{near}", token.start)


def pad(text: str, width: float, filler: str = " ") -> str:
    """JSONata's `$pad`: to the right of the text for a positive width, to the left for a negative one."""
    if abs(width) > MAX_PAD:
        raise ValueError(f"$pad to more than {MAX_PAD:,} characters")
    missing = int(abs(width)) - len(text)
    fill = (filler * missing)[:missing] if filler and missing > 0 else ""
    return text + fill if width > 0 else fill + text


def check_assignments(pieces: Sequence[Token]) -> None:
    """Raises `ExpressionSyntaxError` where the left side of `:=` is not a variable: the engine reports that only during evaluation."""
    written = [token for token in pieces if token.kind not in {"space", "comment"}]
    for index, (colon, equals) in enumerate(pairwise(written)):
        if colon.text != ":" or equals.text != "=" or equals.start != colon.end:
            continue
        left = written[index - 1] if index else colon
        before = written[index - 2] if index > 1 else None
        if left.kind != "variable" or not (before is None or before.text in OPENING):
            raise ExpressionSyntaxError(explain("S0212", frozenset()), left.start)


def check_syntax(text: str) -> None:
    """Raise `ExpressionSyntaxError` with the place. The engine reports no place: it is the start of the shortest tail that causes the error."""
    error = parser_error(text)
    if error is None and (error := parser_error(enclosed(text))) is None:
        return
    pieces = [token for token in tokens(text) if token.kind not in {"space", "comment"}]
    raise ExpressionSyntaxError(explain(error, frozenset()), error_offset(text, error, pieces))


def enclosed(text: str) -> str:
    """Return the text for evaluation: inside an object, so that an absent value (an absent member) differs from null."""
    return f'{{"v":({text})}}'


def error_offset(text: str, error: str, pieces: Sequence[Token]) -> int:
    """Return the end of the shortest prefix such that it and all longer ones have this error. It tries the last pieces one by one, the others by bisection."""

    def has_same_error(index: int) -> bool:
        return parser_error(text[: pieces[index].end]) == error

    first = len(pieces)
    while first and len(pieces) - first < NEAR_THE_END and has_same_error(first - 1):
        first -= 1
    if first and has_same_error(first - 1):
        first = bisect_left(range(first - 1), True, key=has_same_error)
    return pieces[first].start if first < len(pieces) else len(text.rstrip())


def parser_error(text: str) -> str | None:
    """The error of the engine's parser, None for a valid text."""
    try:
        jsonatapy.compile(text)
    except ValueError as error:
        return str(error)
    return None
