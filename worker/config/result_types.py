"""The type that an expression's result always has, where its operator or function alone decides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from worker.config.template_lexer import Token, ends_operand

COMPARES = frozenset({"=", "<", ">", "and", "or", "in"})
OTHER_OPERATORS = frozenset({"~", ":", "?", ";", "^", "@", "#", "|"})
NUMBER, TRUTH = 1, True
RESULTS: Mapping[str, Any] = {
    **dict.fromkeys(("$boolean", "$contains", "$exists", "$not"), TRUTH),
    **dict.fromkeys(("$abs", "$ceil", "$count", "$floor", "$length", "$millis", "$number", "$power", "$round", "$sqrt", "$sum", "$toMillis"), NUMBER),
}
"""An example value of each function's result type; a function may also yield nothing."""


def result_example(written: Sequence[Token], around: Sequence[int]) -> Any:
    """Return an example value of the result's type; None if the data decides the type. `around`: the depth of brackets before each piece."""
    outside = [index for index, token in enumerate(written) if around[index] == 0 and token.kind in {"mark", "word"}]
    if any(written[index].text in OTHER_OPERATORS for index in outside):
        return None
    if any(compares(written, index) for index in outside):
        return TRUTH
    called = written[0].text in RESULTS and len(written) > len("()") and written[1].text == "("
    return RESULTS[written[0].text] if called and all(around[index] > 0 for index in range(2, len(written))) else None


def compares(written: Sequence[Token], index: int) -> bool:
    """Whether this piece is an operator that yields true or false, and not a name."""
    operand_before = index > 0 and ends_operand(written[index - 1], after_operand=False)
    return operand_before and written[index].text in COMPARES and index + 1 < len(written) and written[index + 1].text != "."


def concatenated(written: Sequence[Token], around: Sequence[int]) -> bool:
    """Whether the result is text, since `&` joins it."""
    outside = [token.text for index, token in enumerate(written) if around[index] == 0 and token.kind in {"mark", "word"}]
    return "&" in outside and not (OTHER_OPERATORS | COMPARES | {"!"}) & {*outside}
