"""The location of a value in a route file, for error messages with line and column."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol, Self

from worker.core.errors import Problem


class SourceLocation(Protocol):
    """The location of one value."""

    @property
    def tables(self) -> Collection[str]:
        """The names of the tables that `$table` may name."""
        ...

    @property
    def has_client(self) -> bool:
        """Whether the value is evaluated for one client of Halo, which `$id` asks."""
        ...

    def child(self, key: str | int) -> Self:
        """The location of a member."""
        ...

    def problem(self, message: str, offset: int = 0) -> Problem:
        """An error in this value; `offset` counts characters in its text."""
        ...

    def fill(self, text: str) -> str:
        """Literal text with `${NAME}` replaced; the caller keeps expressions out of it."""
        ...


class NoLocation:
    """The location of a value that comes from no file."""

    tables: Collection[str] = ()
    has_client = True

    def child(self, key: str | int) -> Self:  # noqa: ARG002  it is the location of its members too
        return self

    def problem(self, message: str, offset: int = 0) -> Problem:
        return Problem("", 1 if offset else 0, offset + 1 if offset else 0, message)

    def fill(self, text: str) -> str:
        return text


NO_LOCATION = NoLocation()
