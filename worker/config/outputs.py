"""Compiles variables: their names, and the expressions that say where their values are."""

from __future__ import annotations

from collections.abc import Mapping

from worker.config.config_node import ConfigNode
from worker.config.parameters import members_of
from worker.config.run_templates import VARIABLE
from worker.config.variables import VariablePath, VariableSyntaxError, parse_variable
from worker.core.errors import Problem

RESERVED = ("status", "response", "request")
NAMED = "letters, digits, spaces, `_`, `-` and `.`"


def variables(node: ConfigNode, problems: list[Problem], *, root: str | None = None) -> Mapping[str, VariablePath]:
    """The variables of a mapping from names to expressions; `root` is the only document that they may come from."""
    found: dict[str, VariablePath] = {}
    for name, text in members_of(node).items():
        place = node.child(name)
        if not VARIABLE.fullmatch(name):
            problems.append(place.key_problem(f"`{name}` cannot be the name of a variable: {NAMED}"))
        elif name in RESERVED:
            problems.append(place.key_problem(f"`{name}` cannot be the name of a variable: it stands for what the run has by itself"))
        if isinstance(text, str) and text:  # what else it may be was told by the model
            path = variable(text, place, problems)
            if path is not None and root is not None and path.root != root:
                problems.append(place.problem(f"`{path.root}` is not known here: the expression begins with `{root}`"))
            elif path is not None:
                found[name] = path
    return found


def variable(text: str, node: ConfigNode, problems: list[Problem]) -> VariablePath | None:
    filled = node.fill(text)
    try:
        return parse_variable(filled)
    except VariableSyntaxError as error:
        problems.append(node.problem(f"`{node.path[-1]}` is not a variable's expression: {error}", error.column - 1 if filled == text else 0))
        return None
