"""What is up and what is not: each part reports itself, readiness is their conjunction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """`detail` is a sentence for the operator: why it is down, or what it does."""

    ok: bool
    detail: str


class Health:
    """The last word of every part, by name such as `broker`, `topology`, `client main`, `publisher assets`."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}

    def expect(self, name: str) -> None:
        """A part that must report before we are ready."""
        self._parts.setdefault(name, Part(ok=False, detail="starting"))

    def up(self, name: str, detail: str = "") -> None:
        self._parts[name] = Part(ok=True, detail=detail)

    def down(self, name: str, detail: str) -> None:
        self._parts[name] = Part(ok=False, detail=detail)

    def forget(self, name: str) -> None:
        """A part that is no more."""
        self._parts.pop(name, None)

    def forget_all(self, kept: Collection[str]) -> None:
        """Of what is built again, so that each part reports again."""
        self._parts = {name: part for name, part in self._parts.items() if name in kept}

    @property
    def parts(self) -> dict[str, Part]:
        return dict(self._parts)

    @property
    def ready(self) -> bool:
        return bool(self._parts) and all(part.ok for part in self._parts.values())
