"""The health of the worker's parts. Each part reports itself; the worker is ready when all parts are up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """The state of a part. `detail` is a sentence for the operator: why it is down, or its activity."""

    ok: bool
    detail: str


class Health:
    """The last report of every part, by name such as `broker`, `topology`, `client main`, `publisher assets`."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}

    def expect(self, name: str) -> None:
        """Require a report of this part before the worker is ready."""
        self._parts.setdefault(name, Part(ok=False, detail="starting"))

    def up(self, name: str, detail: str = "") -> None:
        self._parts[name] = Part(ok=True, detail=detail)

    def down(self, name: str, detail: str) -> None:
        self._parts[name] = Part(ok=False, detail=detail)

    def forget(self, name: str) -> None:
        """Remove a part that no longer exists."""
        self._parts.pop(name, None)

    def forget_all(self, kept: Collection[str]) -> None:
        """Remove all parts but `kept`: the worker builds the others again, and each reports again."""
        self._parts = {name: part for name, part in self._parts.items() if name in kept}

    @property
    def parts(self) -> dict[str, Part]:
        return dict(self._parts)

    @property
    def ready(self) -> bool:
        return bool(self._parts) and all(part.ok for part in self._parts.values())
