"""Finds the calls of loggers in source files without running them: the event, the level and the names of the fields."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error", "critical": "critical"}
EVENT = re.compile(r"[a-z][a-z_]*\.[a-z][a-z_]*")
NOT_FIELDS = frozenset(("exc_info",))  # structlog makes `exception` of it
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Logged:
    """One call of a logger."""

    event: str
    level: str
    fields: tuple[str, ...]


@cache
def log_calls(folder: Path) -> dict[str, list[Logged]]:
    """Every event below a folder, with the calls that log it."""
    found: dict[str, list[Logged]] = defaultdict(list)
    for path in sorted(folder.rglob("*.py")):
        for call in calls_of(ast.parse(path.read_text("utf-8"))):
            found[call.event].append(call)
    return dict(found)


def calls_of(module: ast.Module) -> Iterator[Logged]:
    for scope in ast.walk(module):
        if isinstance(scope, Function):
            for node in own_nodes(scope):
                if isinstance(node, ast.Call) and is_log_call(node):
                    fields = tuple(fields_of(node, scope))
                    for event in sorted(events_of(node.args[0], scope, module)):
                        yield Logged(event, LEVELS[node.func.attr], fields)  # type: ignore[attr-defined]


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of the functions inside it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, Function):
            yield child
            yield from own_nodes(child)


def is_log_call(node: ast.Call) -> bool:
    function = node.func
    if not (isinstance(function, ast.Attribute) and function.attr in LEVELS and node.args):
        return False
    owner = function.value
    name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    return name.strip("_").endswith(("log", "logger"))


def events_of(argument: ast.AST, scope: Function, module: ast.Module) -> set[str]:
    """The event of a call. A name stands for what the function assigns to it, or for what its callers give."""
    if not isinstance(argument, ast.Name):
        return constants(argument)
    assigned = [node.value for node in ast.walk(scope) if isinstance(node, ast.Assign) and targets(node, argument.id)]
    calling = [node for node in ast.walk(module) if isinstance(node, ast.Call) and called(node) == scope.name]
    given = [each for node in calling for each in (*node.args, *(keyword.value for keyword in node.keywords))]
    return {event for node in (assigned or given) for event in constants(node)}


def constants(node: ast.AST) -> set[str]:
    return {each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str) and EVENT.fullmatch(each.value)}


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def targets(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def fields_of(node: ast.Call, scope: Function) -> Iterator[str]:
    """The names of the fields, also of those in a mapping that the same function makes."""
    for keyword in node.keywords:
        if keyword.arg is None and isinstance(keyword.value, ast.Name):
            made = [each.value for each in ast.walk(scope) if isinstance(each, ast.Assign) and targets(each, keyword.value.id)]
            yield from (field for value in made for field in keys_of(value))
        elif keyword.arg is not None and keyword.arg not in NOT_FIELDS:
            yield keyword.arg


def keys_of(value: ast.AST) -> Iterator[str]:
    for each in ast.walk(value):
        if isinstance(each, ast.Dict):
            yield from (key.value for key in each.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
