"""The data of the simulated Halo: its tables, and the writes of other users."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from worker.sandbox import seeded_tenant
from worker.sandbox.dates import stored
from worker.sandbox.profiles import STAMP, profile_of
from worker.sandbox.record_merge import TICKET_ENTITIES, RecordWrite
from worker.sandbox.reference_data import reference_rows, ticket_actions
from worker.sandbox.seeded_random import seeded_guid
from worker.sandbox.seeded_tenant import Tenant
from worker.sandbox.seeded_tickets import tickets
from worker.sandbox.table import Key, Row, Table

SEEDED_TABLES = {"tickets": tickets, "client": seeded_tenant.clients, "site": seeded_tenant.sites, "users": seeded_tenant.users, "asset": seeded_tenant.assets}

SEEDED_WITHIN = timedelta(hours=2)  # seeded actions follow their ticket within this time
TRACKED_CREATIONS = 1000  # newest records per entity whose time of creation is known


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A record before and after; None before its creation and after its deletion. `action`: the action that changed a ticket."""

    entity: str
    before: Row | None
    row: Row | None
    action: Row | None = None


class Store:
    """Entity names are those of the paths, case-insensitive: `Tickets`, `client`. `scope`: the ticket of an action, or the list of a lookup value."""

    def __init__(self, tenant: Tenant, now: Callable[[], datetime], text_ids: Collection[str]) -> None:
        self.tenant = tenant
        self.now = now
        self.text_ids = text_ids
        self._tables: dict[str, Table] = {}
        self._scoped: dict[str, dict[int, Table]] = {}
        self.deleted: dict[str, Table] = {}
        """Deleted tickets: they can be listed and recovered."""
        self.hidden: dict[str, set[Key]] = {}
        """Records that the agent's role must not see."""
        self._creations: dict[str, deque[tuple[datetime, Key]]] = {}
        self.appended: dict[int, list[Row]] = {}
        """Rows added to custom tables; the API cannot read them."""
        self._hooks: list[Callable[[RecordChange], None]] = []
        for entity, rows in reference_rows(tenant).items():
            for row in rows:
                self._table_for(entity, row).put(row["id"], row)

    def on_change(self, hook: Callable[[RecordChange], None]) -> None:
        """Calls the hook after every change of a record, by the API or by other users."""
        self._hooks.append(hook)

    def table(self, entity: str, scope: int | None = None) -> Table:
        """The table of an entity, or of one scope of it."""
        name = entity.lower()
        if profile_of(name).scope is not None:
            return self._scope_table(name, scope or 0)
        if name not in self._tables:
            self._tables[name] = Table(SEEDED_TABLES[name](self.tenant)) if name in SEEDED_TABLES else Table()
        return self._tables[name]

    def all_tables(self, entity: str) -> Iterator[Table]:
        """The table of an entity, or those of every scope of it that was used so far."""
        if profile_of(entity.lower()).scope is None:
            yield self.table(entity)
        else:
            yield from self._scoped.get(entity.lower(), {}).values()

    def actions_between(self, start: datetime, end: datetime) -> Table:
        """A new table with the actions of all tickets in this period."""
        reported = self.table("tickets").index("dateoccurred").between(start - SEEDED_WITHIN, end, low_inclusive=True, high_inclusive=True)
        for _, ticket in reported:
            self.table("actions", ticket)
        rows = (table.at(position) for table in self.all_tables("actions") for position in table.positions())
        made = Table()
        for number, row in enumerate(sorted((row for row in rows if start <= row["datetime"] <= end), key=itemgetter("datetime")), 1):
            made.put(number, row)
        return made

    def get(self, entity: str, key: Key, scope: int | None = None) -> Row | None:
        return self.table(entity, scope).get(key)

    def scope_of(self, entity: str, key: Key) -> int | None:
        """The first scope that has a record with this key; None if no scope that was used so far has it."""
        return next((scope for scope, table in self._scoped.get(entity.lower(), {}).items() if table.get(key) is not None), None)

    def count(self, entity: str) -> int:
        return len(self.table(entity))

    def rows(self, entity: str, scope: int | None = None) -> Iterator[Row]:
        """All records, in creation order."""
        table = self.table(entity, scope)
        return (table.at(position) for position in table.positions())

    def create(self, entity: str, sent: Mapping[str, Any], stamp: datetime | None = None) -> Row:
        """Creates a record as another user. `stamp`: the time, default now. Returns it as stored, with its id."""
        name = entity.lower()
        moment = stored(stamp or self.now())
        row = RecordWrite(name, sent, moment, self._find).created()
        table = self._table_for(name, row)
        number = max(self.table(kind).next_id() for kind in TICKET_ENTITIES) if name in TICKET_ENTITIES else table.next_id()
        key: Key = seeded_guid(self.tenant.seed, number, sum(name.encode())) if name in self.text_ids else number
        row = {"id": key, **row}
        table.put(key, row)
        self._creations.setdefault(name, deque(maxlen=TRACKED_CREATIONS)).append((self.now(), key))
        self._notify(RecordChange(name, None, row))
        self._update_ticket_of(name, row, moment)
        return row

    def update(
        self, entity: str, key: Key, sent: Mapping[str, Any], stamp: datetime | None = None, scope: int | None = None, *, action: Row | None = None
    ) -> Row:
        """Changes a record and its stamp. Raises `KeyError` if the record does not exist."""
        name = entity.lower()
        moment = stored(stamp or self.now())
        table = self.table(name, scope)
        before = table.get(key)
        if before is None:
            raise KeyError(f"{entity} has no record {key!r}")
        row = RecordWrite(name, sent, moment, self._find).changed(before)
        table.put(row["id"], row)
        if name == "customtable":
            self.appended.setdefault(int(row["id"]), []).extend(sent.get("_add_rows") or ())
        self._notify(RecordChange(name, before, row, action))
        self._update_ticket_of(name, row, moment)
        return row

    def delete(self, entity: str, key: Key, scope: int | None = None) -> Row | None:
        """Deletes a record and returns it, or None. Tickets can be recovered."""
        name = entity.lower()
        row = self.table(name, scope).remove(key)
        if row is not None and profile_of(name).soft_delete:
            self.deleted.setdefault(name, Table()).put(row["id"], {**row, STAMP: stored(self.now())})
        if row is not None:
            self._notify(RecordChange(name, row, None))
        return row

    def recover(self, entity: str, key: Key) -> Row | None:
        """Recovers a deleted ticket and returns it, or None if it is not deleted."""
        name = entity.lower()
        row = self.deleted[name].remove(key) if name in self.deleted else None
        if row is not None:
            self.table(name).put(row["id"], {**row, STAMP: stored(self.now())})
        return row

    def hide(self, entity: str, key: Key) -> None:
        """Hides a record from the agent's role: it is missing from lists, and its id gives 404."""
        self.hidden.setdefault(entity.lower(), set()).add(key)
        self.table(entity).selections.clear()

    def show(self, entity: str, key: Key) -> None:
        """Undoes `hide`."""
        self.hidden.get(entity.lower(), set()).discard(key)
        self.table(entity).selections.clear()

    def created_within(self, entity: str, age: timedelta) -> set[Key]:
        """The keys of records that were created less than `age` ago."""
        since = self.now() - age
        return {key for moment, key in self._creations.get(entity, ()) if moment > since}

    def _notify(self, change: RecordChange) -> None:
        for hook in self._hooks:
            hook(change)

    def _find(self, entity: str, number: int) -> Row | None:
        return self.table(entity).get(number)

    def _table_for(self, entity: str, row: Mapping[str, Any]) -> Table:
        return self.table(entity, profile_of(entity).scope_of(row))

    def _scope_table(self, entity: str, scope: int) -> Table:
        scopes = self._scoped.setdefault(entity, {})
        if scope not in scopes:
            table = scopes[scope] = Table()
            ticket = self.table("tickets").get(scope) if entity == "actions" and scope <= self.tenant.size.tickets else None
            for row in ticket_actions(self.tenant, scope, ticket["dateoccurred"]) if ticket is not None else ():
                table.put(row["id"], row)
        return scopes[scope]

    def _update_ticket_of(self, entity: str, row: Row, moment: datetime) -> None:
        """An action changes the stamp of its ticket, and possibly its status."""
        if entity != "actions" or self.get("tickets", row["ticket_id"]) is None:
            return
        status = row.get("new_status") or 0
        self.update("tickets", row["ticket_id"], {"status_id": status} if status > 0 else {}, moment, action=row)
