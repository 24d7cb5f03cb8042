"""What is known of an expression without evaluating it: that it is JSONata, and which functions and variables it names. Not even constants are evaluated."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import jsonatapy

from worker.config.jsonata_errors import explain
from worker.config.template_lexer import Token, tokens
from worker.core.suggest import did_you_mean

NEAR_THE_END: Final = 200  # pieces
MAX_SOURCE: Final = 64 * 1024  # characters
OPENING: Final = frozenset("([{,;:?=")  # what may stand before the variable of a `:=`
MAX_PAD = 1_000_000  # characters; the engine's own `$pad` takes gigabytes and then minutes
# fmt: off
FUNCTIONS = frozenset((
    "abs", "append", "assert", "average", "base64decode", "base64encode", "boolean", "ceil", "contains", "count", "decodeUrl",
    "decodeUrlComponent", "distinct", "each", "encodeUrl", "encodeUrlComponent", "error", "exists", "filter", "floor", "formatBase",
    "formatInteger", "formatNumber", "fromMillis", "join", "keys", "length", "lookup", "lowercase", "map", "match", "max", "merge", "millis",
    "min", "not", "now", "number", "pad", "parseInteger", "power", "random", "reduce", "replace", "reverse", "round", "shuffle", "sift",
    "single", "sort", "split", "spread", "sqrt", "string", "substring", "substringAfter", "substringBefore", "sum", "toMillis", "trim", "type",
    "uppercase", "zip",
))
# fmt: on


class SyntaxMistake(ValueError):
    """The text is not JSONata; `offset` is where it goes wrong."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def parse_expression(text: str) -> frozenset[str]:
    """The variables that the text names, without their `$`. Raises `SyntaxMistake` when it is not JSONata."""
    pieces = list(tokens(text))
    if len(text) > MAX_SOURCE:
        raise SyntaxMistake(f"the expression has {len(text):,} characters; at most {MAX_SOURCE:,} are taken", 0)
    check_syntax(text)
    check_functions(pieces)
    check_assignments(pieces)
    return frozenset(token.text[1:] for token in pieces if token.kind == "variable")


def check_functions(pieces: Sequence[Token]) -> None:
    """Raises `SyntaxMistake` for a function that is neither JSONata's nor defined in the text: nobody else could define it."""
    written = [token for token in pieces if token.kind not in {"space", "comment"}]
    called = {token.start for token, after in pairwise(written) if token.kind == "variable" and after.text == "("}
    elsewhere = {token.text for token in written if token.kind == "variable" and token.start not in called}
    for token in written:
        name = token.text[1:]
        if token.text == "$eval":
            raise SyntaxMistake("`$eval` is not available: expressions never run text from data", token.start)
        if token.start in called and name not in FUNCTIONS and token.text not in elsewhere:
            near = did_you_mean(name, FUNCTIONS).replace(" mean ", " mean $").replace(" or ", " or $")
            raise SyntaxMistake(f"there is no function `{token.text}`{near}", token.start)


def pad(text: str, width: float, filler: str = " ") -> str:
    """JSONata's `$pad`: to the right of the text for a positive width, to the left for a negative one."""
    if abs(width) > MAX_PAD:
        raise ValueError(f"$pad to more than {MAX_PAD:,} characters")
    missing = int(abs(width)) - len(text)
    fill = (filler * missing)[:missing] if filler and missing > 0 else ""
    return text + fill if width > 0 else fill + text


def check_assignments(pieces: Sequence[Token]) -> None:
    """Raises `SyntaxMistake` where the left side of `:=` is no variable: the engine complains about that only when it evaluates."""
    written = [token for token in pieces if token.kind not in {"space", "comment"}]
    for index, (colon, equals) in enumerate(pairwise(written)):
        if colon.text != ":" or equals.text != "=" or equals.start != colon.end:
            continue
        left = written[index - 1] if index else colon
        before = written[index - 2] if index > 1 else None
        if left.kind != "variable" or not (before is None or before.text in OPENING):
            raise SyntaxMistake(explain("S0212", frozenset()), left.start)


def check_syntax(text: str) -> None:
    """Raises `SyntaxMistake` with the place: the start of the shortest tail on which the complaint depends, since the engine tells no position."""
    complaint = complaint_about(text)
    if complaint is None and (complaint := complaint_about(enclosed(text))) is None:
        return
    pieces = [token for token in tokens(text) if token.kind not in {"space", "comment"}]
    raise SyntaxMistake(explain(complaint, frozenset()), culprit(text, complaint, pieces))


def enclosed(text: str) -> str:
    """The text as it is evaluated: inside an object, nothing (the member is absent) and null can be told apart."""
    return f'{{"v":({text})}}'


def culprit(text: str, complaint: str, pieces: Sequence[Token]) -> int:
    """Where the shortest prefix ends whose complaint, and that of all longer ones, is this one. The last pieces are tried one by one, the others by halves."""

    def complains(index: int) -> bool:
        return complaint_about(text[: pieces[index].end]) == complaint

    first = len(pieces)
    while first and len(pieces) - first < NEAR_THE_END and complains(first - 1):
        first -= 1
    if first and complains(first - 1):
        first = bisect_left(range(first - 1), True, key=complains)
    return pieces[first].start if first < len(pieces) else len(text.rstrip())


def complaint_about(text: str) -> str | None:
    """What the engine's parser says of a text, None when it takes it."""
    try:
        jsonatapy.compile(text)
    except ValueError as error:
        return str(error)
    return None
