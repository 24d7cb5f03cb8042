"""Code tables: the `tables` of route files, in the file itself or in a CSV file beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any, Final

from worker.config.config_node import ConfigNode, RouteFile
from worker.config.csv_tables import MAX_ROWS, read_csv_table
from worker.config.interpolation import Unfilled
from worker.config.names import NAME, NAME_CHARACTERS
from worker.config.table_source import TableSource
from worker.core.text_files import leads_out

SECTION: Final = "tables"
ABOUT: Final = (
    "Small code tables, by name, for `$table(name, key)` in expressions: a mapping from keys to values, or the name of a CSV file beside the route file,"
    " with a header. Its first column is the key; of two columns the second is the value, of more each row is an object by header."
)
SCHEMA: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "description": ABOUT,
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME.pattern}$"},
        "additionalProperties": {"anyOf": [{"type": "object", "minProperties": 1}, {"type": "string", "pattern": r"\.csv$"}]},
        "examples": [{"customers": {"ACME": 12, "GLOBEX": 14}, "models": "models.csv"}],
    }
)


def read_tables(roots: Iterable[ConfigNode]) -> dict[str, TableSource]:
    """Return the tables of all files by name. The files get an error for each mistake in a table."""
    tables: dict[str, TableSource] = {}
    first: dict[str, ConfigNode] = {}
    for node in nodes_of(roots):
        if not NAME.fullmatch(node.name):
            node.add_key_error(f"`{node.name}` cannot be a name: {NAME_CHARACTERS}")
        if first.setdefault(node.name, node) is not node:
            node.add_key_error(f"the table `{node.name}` is defined twice; the first is in {first[node.name].reference()}")
            continue
        tables[node.name] = source_of(node)
    return tables


def nodes_of(roots: Iterable[ConfigNode]) -> Iterator[ConfigNode]:
    for root in roots:
        section = root.child(SECTION)
        if isinstance(section.value, dict):
            yield from section.members.values()
        elif section.value is not None:
            section.add_error(f"`{SECTION}` must be a mapping from names to tables")


def source_of(node: ConfigNode) -> TableSource:
    """Return one table; without rows after an error."""
    if isinstance(node.value, str):
        return csv_source(node)
    return TableSource(inline_rows(node), node.file.name, {key: (member.key_place or member.place).line for key, member in node.members.items()})


def inline_rows(node: ConfigNode) -> dict[str, Any]:
    """Return the rows of a table in a route file; none after an error."""
    if not isinstance(node.value, dict) or not node.value:
        node.add_error(f"the table `{node.name}` must be a mapping from keys to values, or the name of a CSV file")
        return {}
    if len(node.members) > MAX_ROWS:
        node.add_key_error(f"the table `{node.name}` has {len(node.members):,} rows; at most {MAX_ROWS:,} are read")
        return {}
    return {key: value_of(member) for key, member in node.members.items()}


def value_of(node: ConfigNode) -> Any:
    """A value with its variables filled in."""
    if node.value is None:
        node.add_key_error(f"`{node.name}` has no value")
    if isinstance(node.value, str):
        try:
            return node.file.variables.fill(node.value)
        except Unfilled as error:
            node.add_error(str(error), error.start)
    if not node.children:
        return node.value
    values = {key: value_of(child) for key, child in node.children.items()}
    return values if isinstance(node.value, dict) else list(values.values())


def csv_source(node: ConfigNode) -> TableSource:
    name = PurePosixPath(node.fill(node.value))
    shown = str(Path(node.file.name).parent / name)
    if name.is_absolute() or ".." in name.parts or name.suffix.lower() != ".csv":
        node.add_error(f"the table `{node.name}` must be a mapping, or the name of a CSV file (*.csv) beside the route file, in its folder or below it")
        return TableSource({}, shown)
    if leads_out(node.file.folder / name, node.file.folder):  # expressions could send the worker's own secrets to other systems
        node.add_error(f"the CSV file `{name}` is a link that leads out of the folder of route files: put the file itself there")
        return TableSource({}, shown)
    try:
        table = read_csv_table(node.file.folder / name, shown)
    except OSError as error:
        node.add_error(f"the CSV file `{name}` cannot be read: {(error.strerror or 'unknown reason').lower()}")
        return TableSource({}, shown)
    node.file.problems.extend(table.problems)
    return TableSource(table.rows, shown, table.lines, table.columns)


def share_tables(files: Iterable[RouteFile], tables: Mapping[str, TableSource]) -> None:
    """Give all files the names of the tables, for the check of their expressions."""
    for file in files:
        file.tables.update({name: table.rows for name, table in tables.items()})
