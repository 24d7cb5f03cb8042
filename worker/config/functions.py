"""The functions that an expression may call: JSONata's own but `$eval`, and those that it defines itself."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from worker.config.template_lexer import Token
from worker.core.suggest import did_you_mean

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


def check_functions(pieces: Sequence[Token]) -> None:
    """Raises `SyntaxMistake` for a function that is neither JSONata's nor defined in the text: nobody else could define it."""
    written = [token for token in pieces if token.kind not in {"space", "comment"}]
    called = {token.start for token, after in pairwise(written) if token.kind == "variable" and after.text == "("}
    elsewhere = {token.text for token in written if token.kind == "variable" and token.start not in called}
    for token in written:
        name = token.text[1:]
        if token.text == "$eval":
            raise SyntaxMistake("`$eval` is not available: an expression never runs text from data", token.start)
        if token.start in called and name not in FUNCTIONS and token.text not in elsewhere:
            near = did_you_mean(name, FUNCTIONS).replace(" mean ", " mean $").replace(" or ", " or $")
            raise SyntaxMistake(f"there is no function `{token.text}`{near}", token.start)


def pad(text: str, width: float, run_template: str = " ") -> str:
    """JSONata's `$pad`: to the right of the text for a positive width, to the left for a negative one."""
    if abs(width) > MAX_PAD:
        raise ValueError(f"$pad to more than {MAX_PAD:,} characters")
    missing = int(abs(width)) - len(text)
    fill = (run_template * missing)[:missing] if run_template and missing > 0 else ""
    return text + fill if width > 0 else fill + text
