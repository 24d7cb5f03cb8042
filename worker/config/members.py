"""Compiles the members that routes have in common: the operation, `when` and `transform`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.catalogue.operation import Operation
from worker.config.compiled import Condition, Template
from worker.config.config_node import ConfigNode
from worker.config.expressions import compile_condition, compile_expression, compile_template
from worker.config.template_lexer import OPEN
from worker.core.errors import ConfigError, Problem

T = TypeVar("T")


def find_operation(node: ConfigNode, catalogue: Catalogue, entity: str, method: str, problems: list[Problem], *, allow_unknown: bool) -> Operation | None:
    """The operation that a route names, or None after a problem."""
    try:
        return catalogue.find(entity, method)
    except (UnknownEntity, MethodNotAllowed) as error:
        complaint = str(error)
    if allow_unknown:
        try:
            return catalogue.unknown(entity, method)
        except (UnknownEntity, MethodNotAllowed) as error:
            complaint = str(error)
    problems.append(node.child("entity").problem(complaint))
    return None


def condition(node: ConfigNode, problems: list[Problem]) -> Condition | None:
    """The condition at a node; None when there is none, and after problems."""
    return compiled(node, problems, compile_condition)


def expression(node: ConfigNode, problems: list[Problem]) -> Template | None:
    """The value of the JSONata at a node, in braces, without, or in several pieces of one text; None when there is none, and after problems."""
    return compiled(node, problems, lambda text, location: compile_template(text, location) if OPEN in text else compile_expression(text, location))


def compiled(node: ConfigNode, problems: list[Problem], compile_text: Callable[[str, ConfigNode], T]) -> T | None:
    value = node.value if node.exists else None
    if not isinstance(value, str) or not value:  # what else it may be was told by the model
        return None
    try:
        return compile_text(value, node)
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def transformation(node: ConfigNode, problems: list[Problem]) -> Template | None:
    """A whole document: one JSONata text, or a mapping or list with expressions."""
    value = node.value if node.exists else None
    if value is None:
        return None
    if not isinstance(value, (str, dict, list)):
        problems.append(node.problem(f"`{node.path[-1]}` must be a mapping with expressions, or one JSONata text"))
        return None
    try:
        return compile_expression(value, node) if isinstance(value, str) else compile_template(value, node)
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def check_shape(node: ConfigNode, valid: tuple[str, ...], problems: list[Problem]) -> None:
    """Where a transform is written as a mapping, its members have to be these."""
    value = node.value if node.exists else None
    if isinstance(value, dict):
        unknown = [name for name in value if name not in valid]
        problems.extend(node.child(name).key_problem(f"unknown key `{name}` in `{node.path[-1]}`; valid are {', '.join(valid)}") for name in unknown)
        misshapen = [name for name in ("path", "query") if name in value and not isinstance(value[name], (dict, str))]
        problems.extend(node.child(name).problem(f"`{name}` must be a mapping (names and values)") for name in misshapen)
    elif isinstance(value, list):
        problems.append(node.problem(f"`{node.path[-1]}` must be a mapping with {', '.join(valid)}, or one JSONata text"))
