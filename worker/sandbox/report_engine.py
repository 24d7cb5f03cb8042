"""Runs the SELECT of a report over the sandbox's data, in a separate SQLite database that can neither write nor grow without limit."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from worker.sandbox.report_functions import register_functions
from worker.sandbox.report_sql import translated
from worker.sandbox.report_tables import ENTITY_OF, TooMuch, custom_tables, load_custom_table, load_table, members_of, published_member
from worker.sandbox.report_tokens import SqlError, tokens_of
from worker.sandbox.store import Store

LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}
HEAP_BYTES = 512 * 1024 * 1024
RESULT_BYTES = 64 * 1024 * 1024
STEPS = 10_000  # of SQLite's machine, between two looks at the clock
MAX_COLUMNS_ADDED = 200
MESSAGES = (
    (re.compile(r"no such table: (?:main\.)?(.+)"), "Invalid object name '{}'."),
    (re.compile(r"no such column: (.+)"), "Invalid column name '{}'."),
    (re.compile(r'near "(.+)": syntax error'), "Incorrect syntax near '{}'."),
    (re.compile(r"no such function: (.+)"), "'{}' is not a recognized built-in function name."),
    (re.compile(r"not authorized to use function: (.+)"), "'{}' is not a recognized built-in function name."),
    (re.compile(r"ambiguous column name: (.+)"), "Ambiguous column name '{}'."),
)
INTERNAL = ("sqlite_", "pragma_", "json_")
RENAMED = re.compile(r"(.+):\d+")
Rows = list[dict[str, str]]
T = TypeVar("T")


class ReportExecution:
    """One run of a statement; for one use only."""

    def __init__(self, store: Store, now: datetime, statement: str) -> None:
        self._store = store
        self._statement = statement
        self._sql = f"SELECT * FROM ({translated(statement)}) AS report"  # noqa: S608  it may only read: see `_authorize`
        self._used: dict[str, set[str]] = {}
        self._stopped = threading.Event()
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        for limit, value in LIMITS.items():
            self._connection.setlimit(limit, value)
        self._connection.execute(f"PRAGMA hard_heap_limit={HEAP_BYTES}")
        self._connection.execute("PRAGMA temp_store=MEMORY")
        self._functions = register_functions(self._connection, now)

    async def rows(self, limit: int, seconds: float) -> Rows:
        """Return at most `limit` rows. Raises `SqlError` for a wrong statement, `TooMuch` after `seconds` or for an excessive result."""
        try:
            self._load()
            return await asyncio.to_thread(self._run, limit, time.monotonic() + seconds)
        except (sqlite3.Error, sqlite3.Warning) as error:
            if str(error) == "interrupted":
                raise TooMuch from None
            raise SqlError(_message(str(error))) from None
        except MemoryError:
            raise TooMuch from None
        finally:
            self._stopped.set()

    def _load(self) -> None:
        """Creates the tables that the statement names, and fills the columns that it reads."""
        words = {token.text.strip('[]"').lower() for token in tokens_of(self._statement)}
        names = words & ENTITY_OF.keys()
        for name, rows in custom_tables(self._store).items():
            if name in words and name not in names:
                load_custom_table(name, rows, self._connection)
        for name in names:
            columns = ", ".join(f'"{member}"' for member in sorted(members_of(self._store, name)))
            self._connection.execute(f'CREATE TABLE "{name}" ({columns})')
        self._find_columns(names)
        for name, used in self._used.items():
            load_table(self._store, name, used, self._connection)

    def _find_columns(self, names: set[str]) -> None:
        """Let SQLite compile the statement, to find the columns that it reads. Members without a value in any record become columns on demand."""
        for _ in range(MAX_COLUMNS_ADDED):
            self._used = {name: set() for name in names}
            try:
                self._guarded(lambda: self._connection.execute(f"EXPLAIN {self._sql}").fetchone())
            except sqlite3.OperationalError as error:
                if not self._added_column(names, str(error)):
                    raise
            else:
                return

    def _added_column(self, names: set[str], error: str) -> bool:
        missing = re.fullmatch(r"no such column: (?:.*\.)?(\w+)", error)
        found = [(name, member) for name in names if missing and (member := published_member(name, missing[1])) is not None]
        for name, member in found:
            self._connection.execute(f'ALTER TABLE "{name}" ADD COLUMN "{member}"')
        return bool(found)

    def _run(self, limit: int, deadline: float) -> Rows:
        self._connection.set_progress_handler(lambda: self._stopped.is_set() or time.monotonic() > deadline, STEPS)
        try:
            return self._guarded(lambda: self._fetch(limit))
        finally:
            self._connection.close()

    def _fetch(self, limit: int) -> Rows:
        cursor = self._connection.execute(self._sql)
        names, size = self._column_names(cursor), 0
        rows: Rows = []
        while len(rows) < limit and (values := cursor.fetchone()) is not None:
            row = dict(zip(names, map(_cell, values), strict=True))
            size += sum(map(len, row.values()))
            if size > RESULT_BYTES:
                raise TooMuch
            rows.append(row)
        return rows

    def _column_names(self, cursor: sqlite3.Cursor) -> list[str]:
        """Raises `SqlError` for a column without a name, and for two with the same, as SQL Server does in a derived table."""
        names = [str(column[0]) for column in cursor.description]
        quoted = {token.text[1:-1] for token in tokens_of(self._statement) if token.kind in {"quoted", "text"}}
        for number, name in enumerate(names, 1):
            twice = RENAMED.fullmatch(name)
            if twice is not None and twice[1] in names:
                raise SqlError(f"The column '{twice[1]}' was specified multiple times for 'report'.")
            if not name.isidentifier() and name not in quoted:
                raise SqlError(f"No column name was specified for column {number} of 'report'.")
        return names

    def _guarded(self, work: Callable[[], T]) -> T:
        self._connection.set_authorizer(self._authorize)
        try:
            return work()
        finally:
            self._connection.set_authorizer(None)

    def _authorize(self, action: int, first: str | None, second: str | None, *_: Any) -> int:
        """Allow a report only to read named tables and to call known functions."""
        if action == sqlite3.SQLITE_READ and first is not None and not first.startswith(INTERNAL):
            if first in ENTITY_OF:
                self._used.setdefault(first, set()).update({second} if second else set())
            return sqlite3.SQLITE_OK
        allowed = action == sqlite3.SQLITE_SELECT or (action == sqlite3.SQLITE_FUNCTION and str(second).lower() in self._functions)
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _cell(value: Any) -> str:
    return "" if value is None else value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _message(error: str) -> str:
    """Return SQL Server's text for an error of SQLite."""
    for pattern, text in MESSAGES:
        match = pattern.fullmatch(error)
        if match is not None:
            return text.format(match[1])
    return f"The statement failed: {error}."
