"""The tables that reports read: entities under their names in Halo's database and in its API, with the members of the API as columns."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from sqlite3 import Connection
from typing import Any

from worker.sandbox.dates import comparable
from worker.sandbox.record_schema import record_members
from worker.sandbox.report_columns import renamed
from worker.sandbox.store import Store

SOURCES: Mapping[str, tuple[str, ...]] = {
    "tickets": ("Faults", "Tickets"),
    "actions": ("Actions",),
    "client": ("Area", "Client"),
    "site": ("Site",),
    "users": ("Users",),
    "asset": ("Device", "Asset"),
    "agent": ("Uname", "Agent"),
    "supplier": ("Company", "Supplier"),
    "status": ("TStatus", "Status"),
    "tickettype": ("RequestType", "TicketType"),
    "team": ("SectionDetail", "Team"),
    "priority": ("Policy", "Priority"),
    "clientcontract": ("ContractHeader", "ClientContract"),
    "kbarticle": ("KBEntry", "KBArticle"),
    "item": ("Item",),
    "invoice": ("InvoiceHeader", "Invoice"),
    "lookup": ("Lookup",),
    "timesheet": ("Timesheet",),
    "attachment": ("Attachment",),
    "audit": ("Audit",),
}
ENTITY_OF = {name.lower(): entity for entity, names in SOURCES.items() for name in names}
MAX_ROWS = 500_000


class TooMuch(Exception):
    """The report reads or makes more data than Halo finishes in time."""


def load_table(store: Store, name: str, columns: Collection[str], connection: Connection) -> None:
    """Fills these columns of the table."""
    entity = ENTITY_OF[name.lower()]
    wanted = tuple(columns) or ("id",)
    names, marks = ", ".join(f'"{column}"' for column in wanted), ", ".join("?" * len(wanted))
    connection.executemany(f'INSERT INTO "{name}" ({names}) VALUES ({marks})', _values(store, entity, wanted))  # noqa: S608  names of members only


def members_of(store: Store, name: str) -> set[str]:
    """Return the members of the table's records; a report may also read other published members, which are empty. Raises `TooMuch`."""
    entity = ENTITY_OF[name.lower()]
    if store.count("tickets" if entity == "actions" else entity) > MAX_ROWS:
        raise TooMuch
    if entity == "actions":
        for ticket in store.table("tickets").positions():
            store.table("actions", ticket)
    nested = {member for member, kind in record_members(f"/{entity}").items() if kind in {"array", "object"}}
    return {"id", *renamed(entity)}.union(*(table.members() for table in store.all_tables(entity))) - nested


def published_member(name: str, column: str) -> str | None:
    """The published spelling of a column, or None."""
    return next((member for member in record_members(f"/{ENTITY_OF[name.lower()]}") if member.lower() == column.lower()), None)


def custom_tables(store: Store) -> dict[str, list[dict[str, Any]]]:
    """The rows of the custom tables by their names in the database, numbered from 1 in `id` where they have none."""
    tables = {str(row.get("db_name") or "").lower(): store.appended.get(row["id"], []) for row in store.rows("customtable")}
    return {name: [{"id": number, **row} for number, row in enumerate(rows, 1)] for name, rows in tables.items() if name.isidentifier()}


def load_custom_table(name: str, rows: Collection[Mapping[str, Any]], connection: Connection) -> None:
    """Creates and fills the table of a custom table, whose columns are the members of its rows."""
    columns = sorted({"id"} | {member for row in rows for member in row if member.isidentifier()})
    names, marks = ", ".join(f'"{column}"' for column in columns), ", ".join("?" * len(columns))
    connection.execute(f'CREATE TABLE "{name}" ({names})')
    connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', [tuple(_stored(row.get(column)) for column in columns) for row in rows])  # noqa: S608  identifiers only


def _values(store: Store, entity: str, columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    hidden, names = store.hidden.get(entity, set()), renamed(entity)
    members = [names.get(column.lower(), column) for column in columns]
    for table in store.all_tables(entity):
        for position in table.positions():
            if position not in hidden:
                yield tuple(_stored(table.value(position, member)) for member in members)


def _stored(value: Any) -> Any:
    match value:
        case bool():
            return int(value)
        case datetime():
            return comparable(value)
        case list() | dict():
            return None
        case _:
            return value
