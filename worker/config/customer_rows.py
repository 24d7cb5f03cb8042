"""The rows of a table as integrations: one view of the definition for each row, with the row's values filled in. Its mistakes are reported at the row."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from worker.config.config_node import ConfigNode, RouteFile
from worker.config.csv_tables import seen_as
from worker.config.row_texts import ABSENT, UnusableCell, columns_of, filled_text, text_problems
from worker.config.table_source import TableSource
from worker.core.errors import Problem
from worker.core.redaction import is_secret_name
from worker.core.suggest import choices

CREDENTIALS: Final = frozenset(("password", "token", "value", "client_secret", "private_key"))
MAX_REPORTED: Final = 5  # mistakes of rows
BRACES: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class RowPlace:
    """A text that takes values of the row: its place, from its key on, its name in errors, and the columns."""

    begin: Position
    end: Position
    name: str
    columns: tuple[str, ...]

    def holds(self, problem: Problem) -> bool:
        return self.begin <= (problem.line, problem.column) <= self.end


@dataclass(frozen=True, slots=True)
class RowView:
    """The definition with the values of one row. `key`: of the row; `values`: the value of `$customer` in methods; `line`: of the row in `table`.

    `places`: texts that take usable values; `is_valid`: all values are usable.

    The view collects its errors. `report` reports errors of the row's values at the row. Others occur in every row: the definition's own check reports them.
    """

    key: str
    values: Mapping[str, Any]
    node: ConfigNode
    table: str
    line: int
    target: list[Problem]
    places: Sequence[RowPlace] = ()
    is_valid: bool = True

    def without_methods(self) -> ConfigNode:
        """Return the node with the members of the connection only."""
        kept = {key: child for key, child in self.node.children.items() if key not in {"methods", "customers"}}
        return replace(self.node, children=kept, value={key: child.value for key, child in kept.items()})

    def report(self) -> None:
        for problem in self.node.file.problems:
            if place := next((place for place in self.places if place.holds(problem)), None):
                self.target.append(Problem(self.table, self.line, 0, f"{column_names(place.columns)} of this row makes {place.name} wrong: {problem.message}"))
        self.node.file.problems.clear()

    def report_others(self) -> None:
        """Report the errors that do not come from a row."""
        self.target.extend(problem for problem in self.node.file.problems if not any(place.holds(problem) for place in self.places))
        self.node.file.problems.clear()


@dataclass(frozen=True, slots=True)
class CustomerRows:
    """`views`: of all rows. `general`: replaces the definition in its own check; it has the values of one row."""

    general: RowView
    views: tuple[RowView, ...] = ()


@dataclass(slots=True)
class RowReader:
    """Makes the views of one integration."""

    node: ConfigNode
    name: str
    source: TableSource
    places: tuple[RowPlace, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.places = tuple(place_of(node) for node in text_nodes(self.node) if self._takes(node) and columns_of(str(node.value)))

    def rows(self) -> CustomerRows:
        if wrong := list(self._wrong_texts()):
            self.node.file.problems.extend(wrong)
            return CustomerRows(self.view("", None))
        problems = list(self._ambiguous())
        views: list[RowView] = []
        for key in self.source.rows:
            view, unusable = self._view(key, self.source.row(key))
            views.append(view)
            problems += unusable
        shorten(problems, 0)
        self.node.file.problems.extend(problems)
        first = next((view for view in views if view.is_valid), None)
        general = self.view("", None) if first is None else self.view(first.key, first.values)
        return CustomerRows(general, tuple(views))

    def view(self, key: str, row: Mapping[str, Any] | None) -> RowView:
        """Return the view of a row; `row` None: a view without values."""
        return self._view(key, row)[0]

    def _view(self, key: str, row: Mapping[str, Any] | None) -> tuple[RowView, list[Problem]]:
        """Return the view and the errors of its cells. A text with an unusable cell is not in `places`; the other texts are still checked."""
        file, unusable = replace(self.node.file, problems=[]), dict[str, str]()
        node = self._filled(self.node, file, row, unusable)
        places = tuple(place for place in self.places if place.name not in unusable)
        view = RowView(key, row or {}, node, self.source.file, self.source.lines.get(key, 0), self.node.file.problems, places, not unusable)
        return view, [self._problem(key, message) for message in dict.fromkeys(unusable.values())]

    def _filled(self, node: ConfigNode, file: RouteFile, row: Mapping[str, Any] | None, unusable: dict[str, str]) -> ConfigNode:
        """Return a copy of the node; it shares the parts that take no row values. `unusable` gets the error of a cell, by the name of its text."""
        if node.children:
            children = {key: self._filled(child, file, row, unusable) if self._takes(child) else child for key, child in node.children.items()}
            values = {key: child.value for key, child in children.items()}
            return replace(node, file=file, children=children, value=values if isinstance(node.value, dict) else list(values.values()))
        if not isinstance(node.value, str) or not columns_of(node.value):
            return replace(node, file=file, value=without_braces(node.value) if row is None else node.value)
        text = ABSENT
        try:
            text = ABSENT if row is None else filled_text(node.value, row, file.variables)
        except UnusableCell as error:
            unusable[place_of(node).name] = str(error)
        return replace(node, file=file, value=text)

    def _takes(self, node: ConfigNode) -> bool:
        """Whether the row's values are filled in at load: everywhere except in methods, and of the methods in the login."""
        path = node.path[2:]
        return path[0] != "customers" and (path[0] != "methods" or len(path) == 1 or path[1] == login_method(self.node))

    def _wrong_texts(self) -> Iterator[Problem]:
        """Yield errors of the texts themselves: they occur in every row."""
        for node in text_nodes(self.node):
            if not self._takes(node):
                continue
            inside, text = node.path[2] == "methods", str(node.value)
            credential = node.name in CREDENTIALS if not inside else is_secret_name(node.name)
            for message, offset in text_problems(text, self.name, sorted(self.source.names), credential=credential, expressions=inside):
                yield node.problem(message, offset)

    def _ambiguous(self) -> Iterator[Problem]:
        """Yield errors for keys that look the same to people."""
        known: dict[str, str] = {}
        for key in self.source.rows:
            first = known.setdefault(seen_as(key), key)
            if first != key:
                yield self._problem(key, f"the key of this row differs from the key in line {self.source.lines.get(first, 0)} only by case or space")

    def _problem(self, key: str, message: str) -> Problem:
        return Problem(self.source.file, self.source.lines.get(key, 0), 0, message)


def without_braces(value: Any) -> Any:
    """Return a value with its braces replaced, for a definition without a valid row: a mistake inside braces must not also count as a wrong address."""
    return BRACES.sub(ABSENT, value) if isinstance(value, str) else value


def text_nodes(node: ConfigNode) -> Iterator[ConfigNode]:
    if not node.children and isinstance(node.value, str):
        yield node
    for child in node.children.values():
        yield from text_nodes(child)


def place_of(node: ConfigNode) -> RowPlace:
    begin = node.key_place or node.place
    before = node.file.text[: node.place.end]
    end = (before.count("\n") + 1, node.place.end - before.rfind("\n"))
    return RowPlace((begin.line, begin.column), end, f"`{'.'.join(map(str, node.path))}`", columns_of(str(node.value)))


def column_names(columns: Sequence[str]) -> str:
    return f"the column `{columns[0]}`" if len(columns) == 1 else f"one of the columns {', '.join(f'`{column}`' for column in columns)}"


def login_method(node: ConfigNode) -> str | None:
    """Return the name of the login method; None without a login."""
    auth = node.child("auth")
    name = auth.child("method").value if auth.child("type").value == "login" else None
    return name.removeprefix(f"{node.name}.") if isinstance(name, str) else None


def read_customers(definitions: Iterable[ConfigNode], tables: Mapping[str, TableSource]) -> dict[str, CustomerRows]:
    """Return the rows by integration, for integrations with `customers`. Adds errors of the table, its keys and its rows."""
    found: dict[str, CustomerRows] = {}
    for node in definitions:
        if node.kind != "integrations" or not isinstance(node.child("customers").value, dict):
            continue
        place = node.child("customers").child("table")
        name = node.fill(place.value) if isinstance(place.value, str) else ""
        if name and name not in tables:
            place.add_error(f"there is no table `{name}`{choices(name, list(tables), none='no route file has `tables`')}")
        source = tables.get(name) or TableSource({}, node.file.name)
        reader = RowReader(node, name, source)
        found[node.name] = reader.rows() if source.rows else CustomerRows(reader.view("", None))
    return found


def shorten(problems: list[Problem], start: int) -> None:
    """Keep the first mistakes of rows, from `start` on, and a count: one mistake that all rows share would fill the screen."""
    if left_out := problems[start + MAX_REPORTED :]:
        first = left_out[0]
        problems[start + MAX_REPORTED :] = [
            Problem(first.file, first.line, 0, f"this row has a mistake too; rows of this table have {len(left_out)} more of them")
        ]
