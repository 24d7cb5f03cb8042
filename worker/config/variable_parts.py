"""The parts of a variable's expression, each following one step into a document."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WORDS = {True: "true", False: "false", None: "null"}
LARGEST = 2**64


@dataclass(frozen=True, slots=True)
class Found:
    """What an expression found: `there` False when some part of the path is missing."""

    value: Any
    there: bool


NOTHING = Found(None, there=False)


@dataclass(frozen=True, slots=True)
class Child:
    """`^name`: a member of an object; names are compared exactly."""

    name: str

    def __str__(self) -> str:
        return f"^{self.name}"

    def of(self, value: Any) -> Found:
        """The member of an object, where it has it."""
        return Found(value[self.name], there=True) if isinstance(value, dict) and self.name in value else NOTHING


@dataclass(frozen=True, slots=True)
class Element:
    """`[n]`: an element of an array, from 0."""

    index: int

    def __str__(self) -> str:
        return f"[{self.index}]"

    def of(self, value: Any) -> Found:
        """The element of an array, where it is long enough."""
        return Found(value[self.index], there=True) if isinstance(value, list) and self.index < len(value) else NOTHING


@dataclass(frozen=True, slots=True)
class Match:
    """`[name=value]`: the first element of an array whose member equals the text; a number equals its digits, the others `true`, `false` and `null`."""

    member: str
    value: str

    def __str__(self) -> str:
        return f"[{self.member}={self.value}]"

    def of(self, value: Any) -> Found:
        """The first such element of an array; elements that are no objects are passed over."""
        if not isinstance(value, list):
            return NOTHING
        matching = (item for item in value if isinstance(item, dict) and self.member in item and written(item[self.member], self.value))
        return next((Found(item, there=True) for item in matching), NOTHING)


def written(value: Any, text: str) -> bool:
    """Whether a value of JSON is written as this text, quotes apart."""
    if isinstance(value, str):
        return value == text
    if value is None or isinstance(value, bool):
        return WORDS[value] == text
    if isinstance(value, float):
        return text == repr(value) or (value.is_integer() and text == str(int(value)))
    return isinstance(value, int) and -LARGEST < value < LARGEST and str(value) == text
