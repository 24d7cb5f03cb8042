"""Where a value of a route file stands, so that a mistake in it can be told with its line and column."""

from __future__ import annotations

from typing import Protocol, Self

from worker.core.errors import Problem


class SourceLocation(Protocol):
    """The place of one value; `fill` is how its literal text takes `${NAME}`, told apart from expressions by the caller."""

    def child(self, key: str | int) -> Self:
        """The place of a member."""
        ...

    def problem(self, message: str, offset: int = 0) -> Problem:
        """A mistake in this value; `offset` counts characters in its text."""
        ...

    def fill(self, text: str) -> str:
        """Literal text with its variables replaced."""
        ...


class NoLocation:
    """The place of a value that comes from no file."""

    def child(self, key: str | int) -> Self:  # noqa: ARG002  a place without members is the place of all of them
        return self

    def problem(self, message: str, offset: int = 0) -> Problem:
        return Problem("", 1 if offset else 0, offset + 1 if offset else 0, message)

    def fill(self, text: str) -> str:
        return text


NO_LOCATION = NoLocation()
