"""Expressions that only name a value (`serial`, `customer.id`, `$`, `$headers.x`), read without the engine: quicker, and integers of any size stay exact."""

from __future__ import annotations

import re
from typing import Any

from worker.config.engine import UNDEFINED, Input

STEP = r"(?:[A-Za-z_]\w*|`[^`]+`)"
PATH = re.compile(rf"\s*(?:(?P<variable>\$\w*)(?P<rest>(?:\s*\.\s*{STEP})*)|(?P<path>{STEP}(?:\s*\.\s*{STEP})*))\s*", re.ASCII)
RESERVED = frozenset(("and", "or", "in", "null", "true", "false", "function"))


class NotSimple(Exception):
    """The value lies beyond a list, where JSONata's sequences begin: the engine has to answer."""


class Path:
    """`root` is None for the context, else the name of a binding."""

    def __init__(self, root: str | None, steps: tuple[str, ...]) -> None:
        self.root = root
        self.steps = steps

    def read(self, given: Input) -> Any:
        """The value itself (not a copy), or UNDEFINED. Raises `NotSimple`."""
        value = given.context if self.root is None else given.binding(self.root)
        for step in self.steps:
            if type(value) is not dict:
                if isinstance(value, list):
                    raise NotSimple
                return UNDEFINED
            value = value.get(step, UNDEFINED)
        return value


def simple_path(text: str) -> Path | None:
    """The path that an expression is, or None."""
    found = PATH.fullmatch(text)
    if found is None:
        return None
    steps = tuple(re.findall(STEP, found["rest"] or found["path"] or ""))
    if any(step in RESERVED for step in steps):
        return None
    names = tuple(step.strip("`") for step in steps)
    variable = found["variable"]
    return Path(None if variable in {None, "$", "$$"} else variable[1:], names)
