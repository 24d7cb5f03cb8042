"""Simple paths (`serial`, `customer.id`, `$`, `$headers.x`), read without the engine: this is faster, and integers of any size stay exact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from worker.config.jsonable import to_jsonable
from worker.core.evaluation import UNDEFINED

STEP = r"(?:[A-Za-z_]\w*|`[^`]+`)"
PATH = re.compile(rf"\s*(?:(?P<variable>\$\w*)(?P<rest>(?:\s*\.\s*{STEP})*)|(?P<path>{STEP}(?:\s*\.\s*{STEP})*))\s*", re.ASCII)
RESERVED = frozenset(("and", "or", "in", "null", "true", "false", "function"))


class PathScope:
    """The context of several expressions, and their variables. It converts each variable once, when an expression first reads it."""

    def __init__(self, context: Any, bindings: Mapping[str, Any]) -> None:
        self.context = context
        self._bindings = bindings
        self._converted: dict[str, Any] = {}

    def binding(self, name: str) -> Any:
        """A variable's value, or UNDEFINED."""
        if name not in self._converted:
            self._converted[name] = to_jsonable(self._bindings[name]) if name in self._bindings else UNDEFINED
        return self._converted[name]


class NotSimple(Exception):
    """The path leads through a list, where JSONata uses sequences: the engine has to evaluate it."""


class ValuePath:
    """`root` is None for the context, else the name of a binding."""

    def __init__(self, root: str | None, steps: tuple[str, ...]) -> None:
        self.root = root
        self.steps = steps

    def read(self, scope: PathScope) -> Any:
        """The value itself (not a copy), or UNDEFINED. Raises `NotSimple`."""
        value = scope.context if self.root is None else scope.binding(self.root)
        for step in self.steps:
            if type(value) is not dict:
                if isinstance(value, list):
                    raise NotSimple
                return UNDEFINED
            value = value.get(step, UNDEFINED)
        return value


def simple_path(text: str) -> ValuePath | None:
    """Return an expression as a simple path, or None."""
    found = PATH.fullmatch(text)
    if found is None:
        return None
    steps = tuple(re.findall(STEP, found["rest"] or found["path"] or ""))
    if any(step in RESERVED for step in steps):
        return None
    names = tuple(step.strip("`") for step in steps)
    variable = found["variable"]
    return ValuePath(None if variable in {None, "$", "$$"} else variable[1:], names)
