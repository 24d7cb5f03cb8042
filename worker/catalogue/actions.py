"""Halo API actions: named presets over the API, with the JSON that each expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Action:
    """`entity` and `method` name an operation of the catalogue. `template`: an example body with every member worth knowing; `required`: members (or, in a tuple, any one of
    several) without which Halo refuses; `keeps`: members of the present record that Halo wants back in an update, read before it.
    """

    name: str
    title: str
    method: str
    entity: str
    template: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str | tuple[str, ...], ...] = ()
    keeps: tuple[str, ...] = ()
