"""The document that a mapping or an expression makes, as far as the route file shows it: members, items, and literal values with their places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from worker.config.config_node import ConfigNode

Kind = Literal["object", "array", "literal", "text", "choice", "result", "computed"]


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """A place in a route file: `offset` counts characters of the node's text; `key`: the key of the node, not its value."""

    node: ConfigNode
    offset: int = 0
    key: bool = False

    def error(self, message: str) -> None:
        if self.key:
            self.node.add_key_error(message)
        else:
            self.node.add_error(message, self.offset)

    def warn(self, message: str) -> None:
        self.node.add_warning(message, self.offset, key=self.key)


@dataclass(frozen=True, slots=True)
class Member:
    name: str
    spot: SourcePosition
    value: DocumentValue


@dataclass(frozen=True, slots=True)
class DocumentValue:
    """One value. `literal`: of a literal, the literal pieces of a text with expressions, or a value of the type that a result always has. `items`: of an array, or the values of which a run chooses one.

    `complete`: False where the names of some members are computed.
    """

    kind: Kind
    spot: SourcePosition
    members: tuple[Member, ...] = ()
    items: tuple[DocumentValue, ...] = ()
    literal: Any = None
    complete: bool = True

    def member(self, name: str) -> DocumentValue | None:
        """Return the value of a member, ignoring case."""
        return next((member.value for member in self.members if member.name.lower() == name.lower()), None)

    def objects(self) -> Iterator[DocumentValue]:
        """Yield the objects that the value is, may be, or holds as an array."""
        if self.kind == "object":
            yield self
        for item in self.items:
            yield from item.objects()

    @property
    def empty(self) -> bool:
        """Whether it is null, empty text, or the number 0."""
        return self.kind == "literal" and self.literal in (None, "", 0) and self.literal is not False
