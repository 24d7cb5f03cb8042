"""Halo's grammar for output variables: `response^choices[0]^message^content!`, `request^ticket^id`, `response[id=123]`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Found:
    """What an expression found: `there` False when some part of the path is missing."""

    value: Any
    there: bool


@dataclass(frozen=True, slots=True)
class Child:
    """`^name`: a member of an object."""

    name: str


@dataclass(frozen=True, slots=True)
class Element:
    """`[n]`: an element of an array, from 0."""

    index: int


@dataclass(frozen=True, slots=True)
class Match:
    """`[prop=value]`: the first element of an array whose member equals the text."""

    member: str
    value: str


@dataclass(frozen=True, slots=True)
class VariablePath:
    """A parsed expression. `root`: `response` or `request`; `plain`: it ended in `!`."""

    root: str
    parts: tuple[Child | Element | Match, ...]
    plain: bool

    def find(self, document: Any) -> Found:
        """Follow the path in `document` (what the root stands for). Never raises."""
        raise NotImplementedError
