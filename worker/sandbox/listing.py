"""The answer of a list: its rows and its envelope."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from worker.catalogue.operation import Operation
from worker.sandbox.list_query import ListParameters, ListQuery, query_of
from worker.sandbox.paths import PathMatch
from worker.sandbox.profiles import Profile, profile_of
from worker.sandbox.query import ResultSet, select
from worker.sandbox.record_schema import record_members
from worker.sandbox.rendering import list_row
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.store import Store
from worker.sandbox.table import Row, Table

UNPUBLISHED_PARAMETERS = frozenset({"include_custom_fields"})
COUNTED = frozenset({"/Automation"})  # lists that take `count` although the catalogue does not publish it
THIRD_PARTY = frozenset({"third_party_id", "third_party_id_string"})
PAGING_PARAMETERS = frozenset({"pageinate", "page_no", "page_size"})
RESULTS_KEY = "results"
EXTRA_MEMBERS: Mapping[str, Row] = {"/Attachment": {"folders": []}}
UNPUBLISHED_KEYS = {"/Automation": "automations", "/TopLevel": "tree"}
PAGED_WITHOUT_ENVELOPE = frozenset({"/EmailAddressBook"})


def list_answer(store: Store, settings: SandboxSettings, match: PathMatch, query: ListQuery) -> Any:
    """An envelope or a bare array. Raises `BadValue` and `BadSearch`."""
    operation, profile = match.operation, profile_of(match.table)
    parameters = ListParameters.of(operation, query.parameters, _unpublished(operation, settings))
    table = _table(store, match, parameters, profile)
    members = record_members(operation.path)
    selection = select(table, query_of(operation, parameters, profile, settings, members))
    found = _visible(store, settings, parameters, match, selection)
    start, stop, page = _page_slice(operation, settings, profile, parameters, len(found), endless=query.endless)
    fields = [int(part) for part in parameters.text("include_custom_fields").split(",") if part.strip().isdigit()]
    asked = frozenset({"customfields"} if fields else ()).union(*(members for name, members in profile.shown_with.items() if parameters.flag(name)))
    if _ids_only(parameters):
        body = [{"id": row["id"]} for row in _slice(found, start, stop, thin=True)]
    else:
        body = [list_row(row, profile, asked, fields) for row in _slice(found, start, stop, thin=not asked)]
    key = _rows_key(operation)
    if operation.path == "/Agent" and settings.agent_results and PAGING_PARAMETERS & query.parameters.keys():
        key = RESULTS_KEY
    return body if key is None else _envelope(operation, parameters, key, body, {**page, "record_count": len(found)})


def _unpublished(operation: Operation, settings: SandboxSettings) -> frozenset[str]:
    third_party = THIRD_PARTY if settings.filter_by_third_party else frozenset[str]()
    return UNPUBLISHED_PARAMETERS | third_party | ({"count"} if operation.path in COUNTED else set())


def _table(store: Store, match: PathMatch, parameters: ListParameters, profile: Profile) -> Table:
    if profile.needs and not any(parameters.text(name) for name in profile.needs):
        return _actions_of_a_day(store, parameters) if match.table == "actions" else Table()
    if profile.scope is not None:
        scope = parameters.number(profile.scope)
        return _union(store, match.table) if scope is None else store.table(match.table, scope)
    if parameters.flag("deleted") and profile.soft_delete:
        return store.deleted.get(match.table, Table())
    return store.table(match.table)


def _actions_of_a_day(store: Store, parameters: ListParameters) -> Table:
    """Without a ticket, Halo lists the actions of all tickets for at most one day."""
    start, end = parameters.moment("startdate"), parameters.moment("enddate")
    return store.actions_between(start, end) if start and end and end - start <= timedelta(days=1) else Table()


def _union(store: Store, entity: str) -> Table:
    """The records of all scopes in one table, for an entity that can be listed without naming a scope."""
    table = Table()
    for number, row in enumerate((table.at(position) for table in store.all_tables(entity) for position in table.positions()), 1):
        table.put(number, row)
    return table


def _visible(store: Store, settings: SandboxSettings, parameters: ListParameters, match: PathMatch, selection: ResultSet) -> ResultSet | list[Row]:
    """The records that are visible now, within the id range of a feed."""
    hidden = store.hidden.get(match.table, set())
    recent = store.created_within(match.table, timedelta(seconds=settings.list_lag)) if settings.list_lag else set()
    older, newer = parameters.number("older_than_id"), parameters.number("newer_than_id")
    if not (hidden or recent or older or newer):
        return selection
    invisible = hidden | recent
    return [row for row in selection.rows() if row["id"] not in invisible and (not older or row["id"] < older) and (not newer or row["id"] > newer)]


def _page_slice(
    operation: Operation, settings: SandboxSettings, profile: Profile, parameters: ListParameters, total: int, *, endless: bool
) -> tuple[int, int, Row]:
    """The slice of the rows, and the paging members of the envelope."""
    paged = operation.listing is not None and operation.listing.paged and not profile.ignores_pages
    if _ids_only(parameters):
        return 0, total, {}
    if paged and parameters.flag("pageinate"):
        sized = parameters.number("page_no") is not None or not settings.page_no_needed
        wanted = max((parameters.number("page_size") if sized else None) or settings.page_size, 1)
        cap = settings.entity_caps.get(operation.entity.lower(), settings.page_cap)
        size = wanted if cap is None else min(wanted, cap)
        number = max(parameters.number("page_no") or 1, 1)
        shown = (number - 1) % max(-(-total // size), 1) + 1 if endless else number
        return (shown - 1) * size, shown * size, {"page_no": number, "page_size": wanted}
    return 0, parameters.number("count") or (settings.page_size if paged else total), {}


def _ids_only(parameters: ListParameters) -> bool:
    return parameters.flag("idonly") or parameters.flag("ticketidonly")


def _slice(found: ResultSet | list[Row], start: int, stop: int, *, thin: bool) -> list[Row]:
    return found.rows(start, stop, thin=thin) if isinstance(found, ResultSet) else found[start:stop]


def _rows_key(operation: Operation) -> str | None:
    """The member that holds the rows; None for a bare array. Every paged list but one has an envelope; if its member is unknown, it is `results`."""
    listing = operation.listing
    if listing is None or operation.path in PAGED_WITHOUT_ENVELOPE:
        return None
    return listing.key or UNPUBLISHED_KEYS.get(operation.path) or (RESULTS_KEY if listing.paged else None)


def _envelope(operation: Operation, parameters: ListParameters, key: str, rows: list[Row], facts: Row) -> Row:
    if parameters.flag("ticketidonly") and key == "tickets":
        facts = {**facts, "ticket_ids": [row["id"] for row in rows]}
    if operation.path in {"/Actions", "/Attachment"} and parameters.number("ticket_id"):
        facts = {"ticket_id": parameters.number("ticket_id"), **facts}
    return {**facts, key: rows, **EXTRA_MEMBERS.get(operation.path, {}), **({"include_children": False} if key == "tickets" else {})}
