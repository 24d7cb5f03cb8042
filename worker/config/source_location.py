"""The location of a value in a route file, for error messages with line and column."""

from __future__ import annotations

from typing import Protocol, Self

from worker.core.errors import Problem


class SourceLocation(Protocol):
    """The location of one value."""

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

    def child(self, key: str | int) -> Self:  # noqa: ARG002  it is the location of its members too
        return self

    def problem(self, message: str, offset: int = 0) -> Problem:
        return Problem("", 1 if offset else 0, offset + 1 if offset else 0, message)

    def fill(self, text: str) -> str:
        return text


NO_LOCATION = NoLocation()
