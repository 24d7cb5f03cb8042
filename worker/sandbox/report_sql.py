"""Translates a SELECT of SQL Server to SQLite: TOP, OFFSET and FETCH, table hints, the schema `dbo`, and the units of date functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from worker.sandbox.report_tokens import SqlError, SqlToken, tokens_of

COMPOUND = frozenset({"UNION", "EXCEPT", "INTERSECT"})
UNIT_FUNCTIONS = frozenset({"DATEADD", "DATEDIFF"})
RENAMED = {"LEFT": "left_part", "RIGHT": "right_part", "ISNULL": "isnull_value"}  # functions whose names are keywords in SQLite
MAX_DEPTH = 60
DATE_TYPES = frozenset({"DATE", "DATETIME", "DATETIME2"})
ORDER_MISPLACED = (
    "The ORDER BY clause is invalid in views, inline functions, derived tables, subqueries, and common table expressions, "
    "unless TOP, OFFSET or FOR XML is also specified."
)


@dataclass
class _Select:
    """One SELECT, or the branches of a UNION, during its translation. `limit`: the value of TOP."""

    branch: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    limit: str | None = None
    offset: bool = False
    ordered: bool = False

    def close_branch(self, operator: str) -> None:
        self.before += [*self._limited(), operator]
        self.branch, self.limit = [], None

    def text(self) -> str:
        if self.ordered and self.limit is None and not self.offset:
            raise SqlError(ORDER_MISPLACED)
        return " ".join([*self.before, *self._limited()])

    def _limited(self) -> list[str]:
        if self.limit is None:
            return self.branch
        return ["SELECT * FROM (", *self.branch, "LIMIT", self.limit, ")"]


def translated(statement: str) -> str:
    """Return the statement for SQLite. Raises `SqlError`. SQL Server refuses WITH at the beginning, since Halo puts the statement into another one."""
    tokens = tokens_of(statement)
    if not tokens or tokens[0].word != "SELECT":
        raise SqlError(f"Incorrect syntax near '{tokens[0].text if tokens else ''}'.")
    reader = _Reader(tokens)
    text = reader.select()
    if reader.peek() is not None:
        raise SqlError("Incorrect syntax near ')'.")
    return text


class _Reader:
    """Reads tokens up to the parenthesis that closes the current level."""

    def __init__(self, tokens: list[SqlToken]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def peek(self, ahead: int = 0) -> SqlToken | None:
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else None

    def select(self) -> str:
        select = _Select()
        while (token := self.peek()) is not None and token.text != ")":
            self._at += 1
            match token.word:
                case "SELECT":
                    select.branch += ["SELECT", *self._distinct()]
                    select.limit = self._top()
                case "ORDER":
                    select.ordered = True
                    select.branch.append("ORDER")
                case "OFFSET":
                    select.offset = True
                    select.branch += self._offset()
                case operator if operator in COMPOUND:
                    select.close_branch(f"{operator} {self._all()}".strip())
                case _:
                    select.branch += self._plain(token)
        return select.text()

    def _plain(self, token: SqlToken) -> Iterator[str]:
        following = self.peek()
        if token.text == "(":
            yield from ("(", self._parenthesis(), ")")
        elif token.word in UNIT_FUNCTIONS and following is not None and following.text == "(":
            unit = self.peek(1)
            self._at += 2
            yield from (token.text, "(", f"'{unit.text.lower() if unit else ''}'")
            yield from (self._parenthesis(), ")")
        elif token.word in RENAMED and following is not None and following.text == "(":
            yield RENAMED[token.word]
        elif token.word == "DBO" and following is not None and following.text == ".":
            self._at += 1
        elif token.word == "WITH" and following is not None and following.text == "(":
            self._at += 1
            self._parenthesis()
        elif token.word == "AS" and following is not None and following.word in DATE_TYPES:
            self._at += 1
            yield "AS TEXT"
        else:
            yield token.text

    def _parenthesis(self) -> str:
        """Return the content of parentheses; the opening one is already read."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise SqlError("Some part of your SQL statement is nested too deeply. Rewrite the query or break it up into smaller queries.")
        first = self.peek()
        text = self.select() if first is not None and first.word == "SELECT" else self._list()
        closing = self.peek()
        if closing is None:
            raise SqlError("Incorrect syntax near the end of the statement: ')' is missing.")
        self._at += 1
        self._depth -= 1
        return text

    def _list(self) -> str:
        parts: list[str] = []
        while (token := self.peek()) is not None and token.text != ")":
            self._at += 1
            parts += self._plain(token)
        return " ".join(parts)

    def _distinct(self) -> list[str]:
        token = self.peek()
        if token is None or token.word not in {"DISTINCT", "ALL"}:
            return []
        self._at += 1
        return [token.word]

    def _all(self) -> str:
        token = self.peek()
        if token is None or token.word != "ALL":
            return ""
        self._at += 1
        return "ALL"

    def _top(self) -> str | None:
        token = self.peek()
        if token is None or token.word != "TOP":
            return None
        self._at += 1
        number = self._number(in_parentheses=True)
        following = self.peek()
        if following is not None and following.word in {"PERCENT", "WITH"}:
            raise SqlError(f"The sandbox does not understand TOP … {following.word}.")
        return number

    def _offset(self) -> list[str]:
        """OFFSET n ROWS [FETCH NEXT m ROWS ONLY]"""
        skipped, limit = self._number(), "-1"
        self._expect({"ROW", "ROWS"})
        token = self.peek()
        if token is not None and token.word == "FETCH":
            self._at += 1
            self._expect({"NEXT", "FIRST"})
            limit = self._number()
            self._expect({"ROW", "ROWS"})
            self._expect({"ONLY"})
        return ["LIMIT", limit, "OFFSET", skipped]

    def _number(self, *, in_parentheses: bool = False) -> str:
        token = self.peek()
        wrapped = in_parentheses and token is not None and token.text == "("
        if wrapped:
            self._at += 1
            token = self.peek()
        if token is None or not token.text.isdigit():
            raise SqlError(f"Incorrect syntax near '{token.text if token else ''}'.")
        self._at += 1
        if wrapped:
            self._expect({")"})
        return token.text

    def _expect(self, words: set[str]) -> None:
        token = self.peek()
        if token is None or token.word not in words:
            raise SqlError(f"Incorrect syntax near '{token.text if token else ''}'.")
        self._at += 1
