"""Texts of an integration that take values from the row of a customer: `{{ $customer.url }}`, and `${file:folder/{{ $customer.secret }}}` for a secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.config.interpolation import Unfilled, Variables
from worker.config.template_lexer import OPEN
from worker.core.known_secrets import MIN_SECRET
from worker.core.suggest import choices

COLUMN = r"\{\{\s*\$customer\s*\.\s*(?:`([^`]+)`|([^\W\d]\w*))\s*\}\}"
PIECE = re.compile(rf"\$\{{(?P<kind>[^{{}}\n]*){COLUMN}(?P<rest>[^{{}}\n]*)\}}|{COLUMN}")
FOLDER = re.compile(r"file:(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)+")
UNSAFE = re.compile(r"[{}<>\x00-\x1f\x7f]|\$\Z")
FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
FORM = "`${file:folder/{{ $customer.column }}}`"
ABSENT = "customer.invalid"
"""Replaces a value if there is no valid row."""


@dataclass(frozen=True, slots=True)
class RowPiece:
    """A place for a value of the row. `before`, `after`: for a secret, the parts of its reference around the value; `start`: its offset."""

    column: str
    start: int
    before: str = ""
    after: str = ""

    @property
    def secret(self) -> bool:
        return bool(self.before)


class UnusableCell(ValueError):
    """A value of a row that is invalid in its place of the route file. The text does not quote it."""


def read_pieces(text: str) -> list[str | RowPiece]:
    """The text in order: literal, and places for values."""
    found: list[str | RowPiece] = []
    start = 0
    for match in PIECE.finditer(text):
        found.append(text[start : match.start()])
        first, second, third, fourth = match[2], match[3], match[5], match[6]
        if match["kind"] is None:
            found.append(RowPiece(third or fourth, match.start()))
        else:
            found.append(RowPiece(first or second, match.start(), f"${{{match['kind']}", f"{match['rest']}}}"))
        start = match.end()
    found.append(text[start:])
    return [piece for piece in found if piece]


def columns_of(text: str) -> tuple[str, ...]:
    """The columns whose values it takes, each once."""
    return tuple(dict.fromkeys(piece.column for piece in read_pieces(text) if isinstance(piece, RowPiece)))


def text_problems(text: str, table: str, columns: Sequence[str], *, credential: bool, expressions: bool) -> Iterator[tuple[str, int]]:
    """Yield messages with their offsets. `credential`: the value is a secret, which no table holds; `expressions`: other expressions are allowed."""
    other = PIECE.sub(lambda found: " " * len(found[0]), text).find(OPEN)
    if other >= 0 and not expressions:
        yield f"only `{{{{ $customer.column }}}}` may stand in braces here, and a secret as {FORM}", other
    for piece in read_pieces(text):
        if isinstance(piece, str):
            continue
        if piece.column not in columns:
            yield f"the table `{table}` has no column `{piece.column}`{choices(piece.column, list(columns), none='')}", piece.start
        elif piece.secret and not FOLDER.fullmatch(piece.before[2:]):
            yield f"a row names a secret in a folder that the route file names: write {FORM}", piece.start
        elif credential and not piece.secret:
            yield f"a table holds no secrets: let it hold the name of a file, and write {FORM}", piece.start


def filled_text(text: str, row: Mapping[str, Any], variables: Variables) -> str:
    """The text with the values of the row, and with the references to its secrets. Raises `UnusableCell`, which begins with the column."""
    return "".join(piece if isinstance(piece, str) else value_of(piece, row, variables) for piece in read_pieces(text))


def value_of(piece: RowPiece, row: Mapping[str, Any], variables: Variables) -> str:
    value = row.get(piece.column)
    if not isinstance(value, str | int | float) or isinstance(value, bool) or value == "":
        raise UnusableCell(f"the column `{piece.column}` holds no text or number in this row")
    cell = str(value)
    if UNSAFE.search(cell):
        raise UnusableCell(f"the column `{piece.column}` holds a brace, `<`, `>` or a control character in this row")
    if not piece.secret:
        return cell
    if not FILE.fullmatch(cell):
        raise UnusableCell(
            f"the column `{piece.column}` of this row is not the name of one file in `{piece.before[7:]}`: letters, digits, `.`, `-`, `_`, no `/`"
        )
    reference = f"{piece.before}{cell}{piece.after}"
    try:
        secret = variables.fill(reference)
    except Unfilled as error:
        raise UnusableCell(f"the column `{piece.column}` of this row: {error}") from None
    if len(secret) < MIN_SECRET:
        raise UnusableCell(f"the column `{piece.column}` of this row: the secret has fewer than {MIN_SECRET} characters, so it could not be masked in logs")
    return reference
