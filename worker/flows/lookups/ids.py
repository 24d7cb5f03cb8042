"""Finds ids by names for one client of Halo, and remembers them for a while. Messages that ask at the same time share one request."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from typing import Any, Final

from worker.catalogue.catalogue import load
from worker.catalogue.errors import MethodNotAllowed, RequestError, UnknownEntity
from worker.catalogue.operation import Operation, unsearchable
from worker.core.errors import LookupUnanswered
from worker.core.lookups import Lookup, LookupAnswer
from worker.core.ports import Clock, Halo
from worker.flows.lookups.rows import MAX_PAGES, RowsUnavailable, TooManyRows, matching_rows, row_test

HIT_TTL: Final = 600.0  # seconds
MISS_TTL: Final = 60.0
MAX_ENTRIES: Final = 10_000
ID_MEMBERS: Final[Mapping[str, str]] = {"priority": "priorityid"}
"""By resource: the member with the number that other records use, where that is not `id`.

Halo lists a priority once for each SLA, each row with a GUID as `id`.
"""
SEARCH: Final = "search"
SEARCHED_FIRST: Final = ("name", "emailaddress", "inventory_number", "summary")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class IdSearch:
    """One way to ask: `query` narrows the list down on Halo's side. `wanted`: only the rows with these members are kept; empty for a list that is kept whole."""

    operation: Operation
    query: Mapping[str, Any]
    wanted: Mapping[str, Any]
    key: bytes


@dataclass(frozen=True, slots=True)
class ListedRows:
    """Rows that Halo answered. `at`: monotonic seconds. `problem`: why none of them may be used.

    `answers`: the answers that were made from these rows, by the `key_of` of their lookup.
    """

    rows: tuple[Row, ...]
    at: float
    problem: str = ""
    answers: dict[bytes, LookupAnswer] = field(default_factory=dict)


class HaloIds:
    """Implements `Ids` through one client."""

    def __init__(self, halo: Halo, clock: Clock) -> None:
        self._halo = halo
        self._clock = clock
        self._catalogue = load()
        self._entries: OrderedDict[bytes, ListedRows] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[ListedRows]] = {}

    async def find(self, entity: str, members: Mapping[str, Any]) -> LookupAnswer:
        try:
            operation = self._catalogue.find(entity, "GET")
        except (UnknownEntity, MethodNotAllowed):
            return LookupAnswer(found=False, reason="there is no such entity with a list", refused=True)
        if problem := unsearchable(operation, members):
            return LookupAnswer(found=False, reason=problem, refused=True)
        search = search_for(operation, members)
        listed = self._entries.get(search.key)
        if listed is not None:
            answer = self._answer(operation, members, listed)
            if self._clock.monotonic() - listed.at < (HIT_TTL if answer.found else MISS_TTL):
                return answer
        return self._answer(operation, members, await self._ask_once(search))

    def _answer(self, operation: Operation, members: Mapping[str, Any], listed: ListedRows) -> LookupAnswer:
        """Return the answer from these rows. Each answer is computed once."""
        key = key_of(operation, members)
        if key not in listed.answers:
            if len(listed.answers) >= MAX_ENTRIES:
                listed.answers.clear()
            listed.answers[key] = answer_of(operation, members, listed)
        return listed.answers[key]

    async def _ask_once(self, search: IdSearch) -> ListedRows:
        """Raises `LookupUnanswered`."""
        asking = self._asking.get(search.key)
        if asking is None:
            asking = self._asking[search.key] = asyncio.create_task(self._read(search), name="lookup")
            asking.add_done_callback(partial(self._remove_finished, search.key))
        return await asyncio.shield(asking)  # others may wait for it too

    def _remove_finished(self, key: bytes, asking: asyncio.Task[ListedRows]) -> None:
        del self._asking[key]
        if asking.cancelled() or asking.exception() is not None:
            return
        self._entries[key] = asking.result()
        self._entries.move_to_end(key)
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    async def _read(self, search: IdSearch) -> ListedRows:
        """Raises `LookupUnanswered`."""
        at = self._clock.monotonic()
        entity = search.operation.entity
        try:
            found = await matching_rows(self._halo, search.operation, {}, search.query, search.wanted)
        except RequestError as error:
            return ListedRows((), at, str(error))
        if isinstance(found, RowsUnavailable):
            raise LookupUnanswered(entity, found.exchange)
        if isinstance(found, TooManyRows):
            return ListedRows((), at, f"more than {MAX_PAGES} pages of {entity} may hold the record: give more members")
        if not found.rows and not found.complete:
            return ListedRows((), at, f"Halo counts {found.count} rows of {entity} but gives {found.read}")
        return ListedRows(tuple(needed_members(row, search) for row in found.rows), at)


def search_for(operation: Operation, members: Mapping[str, Any]) -> IdSearch:
    """Return the search for these members.

    Halo's text search and its parameters for ids narrow a long list down. A list that has no pages is read whole, and serves all names.
    """
    query = {name: members[name] for name in operation.key if name != "id" and name in operation.query_parameters}
    if operation.listing is None or not operation.listing.paged:
        return IdSearch(operation, query, {}, key_of(operation, query))
    query |= {name: value for name, value in members.items() if name.endswith("_id") and name in operation.query_parameters and whole_number(value)}
    texts = [name for name, value in members.items() if isinstance(value, (str, int)) and not isinstance(value, bool) and not name.endswith("_id")]
    if SEARCH in operation.query_parameters and texts:
        query[SEARCH] = str(members[next((name for name in SEARCHED_FIRST if name in texts), texts[0])]).strip()
    return IdSearch(operation, query, members, key_of(operation, members))


def key_of(operation: Operation, members: Mapping[str, Any]) -> bytes:
    """Return a short key of a lookup: its members come from a message, where one member may have megabytes."""
    return sha256(Lookup("id", operation.path, dict(members)).text.encode()).digest()


def whole_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def needed_members(row: Row, search: IdSearch) -> Row:
    """Return the members of a row that answers need, without objects and lists: its id and the searched members, or all if the list serves all names."""
    wanted = {id_member(search.operation), *search.wanted} if search.wanted else row.keys()
    return {name: value for name, value in row.items() if name in wanted and not isinstance(value, (dict, list))}


def id_member(operation: Operation) -> str:
    return ID_MEMBERS.get(operation.resource, "id")


def answer_of(operation: Operation, members: Mapping[str, Any], listed: ListedRows) -> LookupAnswer:
    """Return the id of the one match."""
    entity, names = operation.entity, " and ".join(f"`{name}`" for name in sorted(members))
    if listed.problem:
        return LookupAnswer(found=False, reason=listed.problem, refused=True)
    member, has_members = id_member(operation), row_test(members)
    ids = {str(row.get(member)): row.get(member) for row in listed.rows if has_members(row)}
    if not ids:
        return LookupAnswer(found=False, reason=f"no {entity} in Halo has this {names}")
    if len(ids) > 1:
        return LookupAnswer(found=False, reason=f"{len(ids)} records of {entity} in Halo have this {names}: give more members", refused=True)
    found = next(iter(ids.values()))
    if found is None:
        return LookupAnswer(found=False, reason=f"the {entity} that matches has no `{member}`", refused=True)
    return LookupAnswer(found=True, value=int(found) if isinstance(found, float) and found.is_integer() else found)
