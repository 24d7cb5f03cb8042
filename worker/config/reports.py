"""`report` of a subscriber: SQL over Halo's reporting database, its cursor and the types of its columns."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.operation import Operation
from worker.config.compiled import Report
from worker.config.config_node import ConfigNode
from worker.config.definition import Definition
from worker.config.statements import PLACE, Statement, mistakes
from worker.config.template_lexer import Embedded, Unclosed, parts
from worker.config.value_types import TemplateText, Text
from worker.core.suggest import choices

PATH = "/Report"
CURSOR = "$cursor"
WITHOUT = ("request", "input_transform", "details", "for_each")


class ReportDefinition(Definition):
    """SQL over Halo's reporting database."""

    sql: TemplateText = Field(
        description="One SELECT. `'{{ $cursor }}'` is the position of the route as a date; no other expression may stand in it.",
        examples=["SELECT TOP 5000 id, changed FROM t WHERE changed >= '{{ $cursor }}' ORDER BY changed"],
    )
    cursor: Text | None = Field(default=None, description="The date column that orders the rows; default: each poll reads and compares the whole table.")
    types: dict[str, Literal["int", "number", "bool", "time", "text"]] = Field(
        default={}, description="The types of columns, whose cells come as text; default: text.", examples=[{"id": "int", "changed": "time"}]
    )


def report_operation(node: ConfigNode, catalogue: Catalogue, entity: str | None, key: list[str] | None) -> Operation | None:
    """Return the kind of the rows: the entity that the route names together with the report, else the report itself. None after an error."""
    if entity is None:
        return Operation("GET", PATH, key=tuple(key or ()))
    operation = catalogue.methods_of(entity).get("GET")
    if operation is None or operation.path_parameters:
        node.child("entity").add_error(f"beside `report`, `entity` names the list that the rows belong to; {entity} is none")
    return operation


def compile_report(definition: ReportDefinition, route: ConfigNode, key: tuple[str, ...]) -> Report:
    """Compile a report. `key`: the columns that identify a row. Adds an error for a statement that Halo refuses or that would lose rows."""
    node = route.child("report")
    for name in WITHOUT:
        if name in route:
            route.child(name).add_key_error(f"`{name}` must be left out: the statement of `report` says what is read")
    if not key:
        route.add_key_error("`key` is missing: name the columns that identify a row of the report")
    pieces = statement_pieces(node.child("sql"))
    text = PLACE.join(pieces)
    for sentence in mistakes(text, definition.cursor):
        node.child("sql").add_error(sentence)
    statement = Statement(text)
    check_columns(statement, definition, route, key)
    return Report(pieces, definition.cursor, types_of(definition), statement.top)


def types_of(definition: ReportDefinition) -> dict[str, Literal["int", "number", "bool", "time", "text"]]:
    """Return the types of the columns: the cursor is a time, even if `types` omits it."""
    return dict(definition.types) | ({definition.cursor: "time"} if definition.cursor is not None else {})


def statement_pieces(node: ConfigNode) -> tuple[str, ...]:
    """The statement with its variables filled in, cut at each `{{ $cursor }}`. Adds an error for any other expression."""
    found = [""]
    try:
        pieces = parts(node.value) if isinstance(node.value, str) else []
    except Unclosed as error:
        node.add_error(str(error), error.start)
        pieces = []
    for piece in pieces:
        if not isinstance(piece, Embedded):
            found[-1] += node.fill(piece.text)
        elif piece.text.strip() == CURSOR:
            found.append("")
        else:
            node.add_error("only `{{ $cursor }}` may stand in the SQL of a report: other values could change the statement", piece.start)
    return tuple(found)


def check_columns(statement: Statement, definition: ReportDefinition, route: ConfigNode, key: tuple[str, ...]) -> None:
    """Check that the key, the cursor and the types name columns that the statement selects."""
    columns, node = statement.columns, route.child("report")
    if definition.cursor is not None and definition.types.get(definition.cursor, "time") != "time":
        node.child("types").child(definition.cursor).add_error(f"`{definition.cursor}` is the cursor, so its type must be time")
    if columns is None or not columns:
        return
    places = [(name, node.child("types").child(name)) for name in definition.types]
    places += [(name, route.child("key") if "key" in route else node.child("sql")) for name in key]
    places += [(definition.cursor, node.child("cursor"))] if definition.cursor is not None else []
    for name, place in places:
        if name not in columns:
            place.add_error(f"the statement has no column `{name}`{choices(name, columns, none='')}")
