"""Expressions that only name a value (`serial`, `customer.id`, `$`, `$headers.x`), read without the engine: quicker, and integers of any size stay exact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from worker.config.jsonable import to_jsonable
from worker.core.evaluation import UNDEFINED

STEP = r"(?:[A-Za-z_]\w*|`[^`]+`)"
PATH = re.compile(rf"\s*(?:(?P<variable>\$\w*)(?P<rest>(?:\s*\.\s*{STEP})*)|(?P<path>{STEP}(?:\s*\.\s*{STEP})*))\s*", re.ASCII)
RESERVED = frozenset(("and", "or", "in", "null", "true", "false", "function"))


class Input:
    """A context for several expressions, and variables that are made plain once, when the first of them needs one."""

    def __init__(self, context: Any, bindings: Mapping[str, Any]) -> None:
        self.context = context
        self._bindings = bindings
        self._plain: dict[str, Any] = {}

    def binding(self, name: str) -> Any:
        """A variable's value, or UNDEFINED."""
        if name not in self._plain:
            self._plain[name] = to_jsonable(self._bindings[name]) if name in self._bindings else UNDEFINED
        return self._plain[name]


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
