"""One value in a route file: it knows its place, its raw text, and how to fill the variables in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.config.document import Document, Path
from worker.config.interpolation import Unfilled, Variables
from worker.config.template_lexer import Embedded, Unclosed, parts
from worker.core.errors import Problem


@dataclass(frozen=True, slots=True)
class ConfigNode:
    """`value` is as the file has it, before variables are filled in."""

    document: Document
    variables: Variables
    path: Path = ()

    @property
    def value(self) -> Any:
        return self.document.at(self.path)

    @property
    def exists(self) -> bool:
        return self.path in self.document.values

    def __contains__(self, key: str | int) -> bool:
        value = self.value
        return key in value if isinstance(value, dict) else isinstance(value, list) and isinstance(key, int) and key < len(value)

    def child(self, key: str | int) -> ConfigNode:
        return ConfigNode(self.document, self.variables, (*self.path, key))

    def problem(self, message: str, offset: int = 0) -> Problem:
        """Told at the value, or at the key of what encloses a value that is not there."""
        return self.document.value_problem(self._existing(), message, offset)

    def key_problem(self, message: str) -> Problem:
        return self.document.key_problem(self._existing(), message)

    def fill(self, text: str) -> str:
        """A reference that cannot be filled was told before, by `filled`; here it is empty text."""
        try:
            return self.variables.fill(text)
        except Unfilled:
            return ""

    def line(self) -> str:
        """The file and line of the key, to point at from elsewhere."""
        problem = self.key_problem("")
        return f"{problem.file}:{problem.line}"

    def _existing(self) -> Path:
        path = self.path
        while path and path not in self.document.values:
            path = path[:-1]
        return path


FIND = frozenset((("find", "path"), ("find", "query"), ("find", "match")))
ROUTES = frozenset(("subscribers", "publishers"))
BARE = frozenset(("when", "transform", "input_transform"))
TEMPLATES = frozenset(("when", "transform", "input_transform", "request"))
INNER_TEMPLATES = frozenset((*FIND, ("publish", "routing_key")))
METHOD_TEMPLATES = frozenset(("path", "query", "headers", "body"))
STEP_TEMPLATES = frozenset(("path", "query", "body", "reason"))
WEBHOOK_TEMPLATES = frozenset((("publish", "routing_key"), ("wake", "id")))


def is_bare(node: ConfigNode) -> bool:
    """Whether a text here is JSONata as it stands, in which variables are never looked for."""
    match node.path:
        case (kind, _, member):
            return (kind in ROUTES and member in BARE) or (kind, member) == ("webhooks", "when")
        case ("runbooks", _, "steps", _, "next", _, "when"):
            return True
        case _:
            return False


def is_template(node: ConfigNode) -> bool:
    """Whether a text here may hold expressions, and is filled when it is compiled."""
    match node.path:
        case ("integrations", _, "methods", _, member, *_):
            return member in METHOD_TEMPLATES
        case ("runbooks", _, "steps", _, member, *inner):
            return member in STEP_TEMPLATES or (member, *inner[:1]) in FIND
        case ("webhooks", _, member, *inner):
            return member == "id" or (member, *inner[:1]) in WEBHOOK_TEMPLATES
        case (kind, _, member, *inner) if kind in ROUTES:
            return member in TEMPLATES or (member, *inner[:1]) in INNER_TEMPLATES
        case _:
            return False


def filled(node: ConfigNode, unfilled: dict[Path, Problem]) -> Any:
    """The value with variables filled in where no expression may stand; what cannot be filled, there or in templates, is told by its path."""
    value = node.value
    if isinstance(value, dict):
        return {key: filled(node.child(key), unfilled) for key in value}
    if isinstance(value, list):
        return [filled(node.child(index), unfilled) for index in range(len(value))]
    if not isinstance(value, str) or is_bare(node):
        return value
    template = is_template(node)
    for text, start in literals(value) if template else [(value, 0)]:
        try:
            result = node.variables.fill(text)
        except Unfilled as error:
            unfilled[node.path] = node.problem(str(error), start + error.start)
            return value
        if not template:
            return result
    return value


def literals(text: str) -> list[tuple[str, int]]:
    """The text outside of expressions, with its offsets; none when the braces are wrong, which compiling tells."""
    try:
        return [(part.text, part.start) for part in parts(text) if not isinstance(part, Embedded)]
    except Unclosed:
        return []
