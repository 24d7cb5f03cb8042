"""Compiles the value of one node. After an error the node collects it, and the result yields nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from worker.config.compiled import Condition, Template
from worker.config.config_node import ConfigNode
from worker.config.expressions import compile_condition, compile_expression, compile_template
from worker.config.mappings import MissingRule
from worker.config.run_templates import VARIABLE, compile_run_template
from worker.config.run_values import RunTemplate
from worker.config.template_lexer import OPEN
from worker.config.variables import KNOWN, VariablePath, VariableSyntaxError, parse_variable
from worker.core.errors import ConfigError

T = TypeVar("T")
RUN_NAMES = ("status", "response", "request")
VARIABLE_CHARACTERS = "letters, digits, spaces, `_`, `-` and `.`"


def compiled(node: ConfigNode, compile_value: Callable[[Any, ConfigNode], T]) -> T | None:
    """None after errors."""
    try:
        return compile_value(node.value, node)
    except ConfigError as error:
        node.file.problems.extend(error.problems)
        return None


def compiled_text(node: ConfigNode, compile_text: Callable[[str, ConfigNode], T]) -> T | None:
    """Compile a text; None for any other value, which validation reports, and after errors."""
    return compiled(node, compile_text) if isinstance(node.value, str) and node.value else None


def condition(node: ConfigNode) -> Condition | None:
    return compiled_text(node, compile_condition)


def expression(node: ConfigNode) -> Template | None:
    """Compile JSONata in braces, without them, or in several pieces of one text."""
    return compiled_text(node, compile_template if isinstance(node.value, str) and OPEN in node.value else compile_expression)


def text_template(node: ConfigNode) -> Template | None:
    return compiled_text(node, compile_template)


def transform(node: ConfigNode, missing: MissingRule = "omit") -> Template | None:
    """Compile one JSONata text, or a mapping or list with expressions. `missing` decides about expressions that yield nothing."""
    if node.value is None:
        return None
    if not isinstance(node.value, (str, dict, list)):
        node.add_error(f"`{node.name}` must be a mapping with expressions, or one JSONata text")
        return None
    if isinstance(node.value, str):
        return compiled(node, lambda text, place: compile_expression(text, place, missing, node.member))
    return compiled(node, lambda value, place: compile_template(value, place, missing, node.member))


def template(node: ConfigNode, missing: MissingRule = "omit") -> Template:
    return compiled(node, lambda value, place: compile_template(value, place, missing, node.member)) or compile_template(None)


def run_template(node: ConfigNode, missing: MissingRule = "omit") -> RunTemplate:
    return compiled(node, lambda value, place: compile_run_template(value, place, missing, node.member)) or compile_run_template(None)


def optional_run_template(node: ConfigNode, missing: MissingRule = "omit") -> RunTemplate | None:
    return run_template(node, missing) if node.value is not None else None


def run_templates(node: ConfigNode) -> Mapping[str, RunTemplate]:
    return {name: run_template(member) for name, member in node.members.items()}


def response_variables(node: ConfigNode) -> Mapping[str, VariablePath]:
    """Variables of a run by name, with the paths of their values."""
    return compile_variables(node, KNOWN)


def request_variables(node: ConfigNode) -> Mapping[str, VariablePath]:
    """Return the same for the starting payload alone."""
    return compile_variables(node, ("request",))


def compile_variables(node: ConfigNode, roots: tuple[str, ...]) -> Mapping[str, VariablePath]:
    found: dict[str, VariablePath] = {}
    for name, member in node.members.items():
        if reason := no_variable(name):
            member.add_key_error(reason)
        path = compile_variable_path(member)
        if path is not None and path.root not in roots:
            member.add_error(f"`{path.root}` is not available here: the expression must begin with `{roots[0]}`")
        elif path is not None:
            found[name] = path
    return found


def no_variable(name: str) -> str:
    """Return why no variable of a run can have this name; empty for a valid name."""
    if not VARIABLE.fullmatch(name):
        return f"`{name}` cannot be the name of a variable: {VARIABLE_CHARACTERS}"
    return f"`{name}` cannot be the name of a variable: every run defines it" if name in RUN_NAMES else ""


def compile_variable_path(node: ConfigNode) -> VariablePath | None:
    if not isinstance(node.value, str) or not node.value:
        return None  # validation reports it
    filled = node.fill(node.value)
    try:
        return parse_variable(filled)
    except VariableSyntaxError as error:
        node.add_error(f"`{node.name}` is not an expression of a variable: {error}", error.column - 1 if filled == node.value else 0)
        return None
