"""Splits a statement in Halo's SQL dialect into tokens."""

from __future__ import annotations

import re
from dataclasses import dataclass

TOKEN = re.compile(
    r"""(?P<space>\s+|/\*.*?\*/)
      | (?P<comment>--)
      | (?P<text>N?'(?:[^']|'')*')
      | (?P<quoted>\[[^\]]*\]|"[^"]*")
      | (?P<number>\d+(?:\.\d*)?)
      | (?P<word>[^\W\d]\w*)
      | (?P<sign><>|<=|>=|!=|\|\||/(?!\*)|[-+*%=<>(),.])
    """,
    re.VERBOSE | re.DOTALL,
)


MAX_LENGTH = 100_000


class SqlError(Exception):
    """The statement is wrong, or the sandbox does not understand it. The text is the `load_error`."""


@dataclass(frozen=True, slots=True)
class SqlToken:
    """`kind`: text, quoted, number, word or sign."""

    kind: str
    text: str

    @property
    def word(self) -> str:
        """The keyword in upper case; the text of a sign; empty for values and quoted names."""
        return self.text.upper() if self.kind in {"word", "sign"} else ""


def tokens_of(statement: str) -> list[SqlToken]:
    """Raises `SqlError`. Halo puts the statement into another one: a second statement or a `--` comment would break it."""
    if len(statement) > MAX_LENGTH:
        raise SqlError(f"The statement is longer than {MAX_LENGTH} characters.")
    found: list[SqlToken] = []
    at = 0
    while at < len(statement):
        match = TOKEN.match(statement, at)
        if match is None or match.lastgroup == "comment":
            raise SqlError(f"Incorrect syntax near '{statement[at : at + 2] if match else statement[at]}'.")
        kind = str(match.lastgroup)
        if kind == "text":
            found.append(SqlToken(kind, match[0].removeprefix("N")))
        elif kind != "space":
            found.append(SqlToken(kind, match[0]))
        at = match.end()
    return found
