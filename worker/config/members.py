"""Compiles the members that routes have in common: the operation, `when` and `transform`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.catalogue.operation import Operation
from worker.config.compiled import Condition, Template
from worker.config.expressions import compile_condition, compile_expression, compile_template
from worker.config.scanner import OPEN
from worker.config.spot import Spot
from worker.core.errors import ConfigError, Problem

T = TypeVar("T")


def find_operation(spot: Spot, catalogue: Catalogue, entity: str, method: str, problems: list[Problem], *, allow_unknown: bool) -> Operation | None:
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
    problems.append(spot.child("entity").problem(complaint))
    return None


def condition(spot: Spot, problems: list[Problem]) -> Condition | None:
    """The condition at a spot; None when there is none, and after problems."""
    return compiled(spot, problems, compile_condition)


def expression(spot: Spot, problems: list[Problem]) -> Template | None:
    """The value of the JSONata at a spot, in braces, without, or in several pieces of one text; None when there is none, and after problems."""
    return compiled(spot, problems, lambda text, where: compile_template(text, where) if OPEN in text else compile_expression(text, where))


def compiled(spot: Spot, problems: list[Problem], compile_text: Callable[[str, Spot], T]) -> T | None:
    value = spot.value if spot.exists else None
    if not isinstance(value, str) or not value:  # what else it may be was told by the model
        return None
    try:
        return compile_text(value, spot)
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def transformation(spot: Spot, problems: list[Problem]) -> Template | None:
    """A whole document: one JSONata text, or a mapping or list with expressions."""
    value = spot.value if spot.exists else None
    if value is None:
        return None
    if not isinstance(value, (str, dict, list)):
        problems.append(spot.problem(f"`{spot.path[-1]}` must be a mapping with expressions, or one JSONata text"))
        return None
    try:
        return compile_expression(value, spot) if isinstance(value, str) else compile_template(value, spot)
    except ConfigError as error:
        problems.extend(error.problems)
        return None


def check_shape(spot: Spot, valid: tuple[str, ...], problems: list[Problem]) -> None:
    """Where a transform is written as a mapping, its members have to be these."""
    value = spot.value if spot.exists else None
    if isinstance(value, dict):
        unknown = [name for name in value if name not in valid]
        problems.extend(spot.child(name).key_problem(f"unknown key `{name}` in `{spot.path[-1]}`; valid are {', '.join(valid)}") for name in unknown)
        misshapen = [name for name in ("path", "query") if name in value and not isinstance(value[name], (dict, str))]
        problems.extend(spot.child(name).problem(f"`{name}` must be a mapping (names and values)") for name in misshapen)
    elif isinstance(value, list):
        problems.append(spot.problem(f"`{spot.path[-1]}` must be a mapping with {', '.join(valid)}, or one JSONata text"))
