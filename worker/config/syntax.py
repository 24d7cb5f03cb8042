"""What of an expression is known without evaluating it: that it is JSONata, and which variables it names. Nothing is evaluated here, not even constants."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import jsonatapy

from worker.config.functions import SyntaxMistake, check_functions
from worker.config.jsonata_errors import explain
from worker.config.template_lexer import Token, tokens

NEAR_THE_END: Final = 200  # pieces
MAX_SOURCE: Final = 64 * 1024  # characters
OPENING: Final = frozenset("([{,;:?=")  # what may stand before the variable of a `:=`


class Expression:
    """One JSONata text. Raises `SyntaxMistake` when it is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        pieces = list(tokens(text))
        self.variables = frozenset(token.text[1:] for token in pieces if token.kind == "variable")
        if len(text) > MAX_SOURCE:
            raise SyntaxMistake(f"the expression has {len(text):,} characters; at most {MAX_SOURCE:,} are taken", 0)
        parse(text)
        check_functions(pieces)
        check_assignments(pieces)


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


def parse(text: str) -> None:
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
