"""Looks up the one record that an earlier attempt may have created."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from worker.catalogue.requests import build_request
from worker.changes.pages import PAGE_SIZE, rows_of
from worker.config.compiled import Find
from worker.core.exact_numbers import whole
from worker.core.exchange import Exchange, Priority
from worker.core.ports import Evaluator, Halo

MOST_PAGES = 10


@dataclass(frozen=True, slots=True)
class Match:
    """The one match."""

    record_id: Any


@dataclass(frozen=True, slots=True)
class NoMatch:
    """Certainly none."""


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """More than one match, or more rows than can be looked through."""

    reason: str


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """Halo did not answer the question."""

    exchange: Exchange


Answer = Match | NoMatch | Ambiguous | LookupFailed


async def lookup(
    halo: Halo,
    find: Find,
    context: Any,
    bindings: dict[str, Any],
    evaluator: Evaluator,
    *,
    priority: Priority,
    timeout: float | None,  # noqa: ASYNC109 - part of the requests
) -> Answer:
    """Ask for the rows and compare. `priority` and `timeout` (seconds for each request; None: the client's) are those of the write. Raises `ExpressionError`, `RequestError`."""
    path = {name: await template.evaluate(context, bindings, evaluator) for name, template in find.path.items()}
    query = {name: await template.evaluate(context, bindings, evaluator) for name, template in find.query.items()}
    wanted = {name: await template.evaluate(context, bindings, evaluator) for name, template in find.match.items()}
    if not wanted or any(normal(value) in (None, "") for value in wanted.values()):
        return Ambiguous("a member of `find.match` has no value in this message: nothing can be looked up by it")
    matches: list[dict[str, Any]] = []
    read, before = 0, None
    for page in range(1, MOST_PAGES + 1):
        request = replace(build_request(find.operation, path, query | paging(find, page)), timeout=timeout)
        exchange = await halo.send(request, priority=priority)
        found = rows_of(exchange.body, find.operation.listing) if exchange.ok else None
        if found is None:
            return LookupFailed(exchange)
        rows, count = found
        if rows == before:  # Halo ignores paging here
            return verdict(matches, read, count)
        read, before = read + len(rows), rows
        matches += [row for row in rows if all(same(row.get(name), value) for name, value in wanted.items())]
        if not paging(find, page) or not rows or read == count:
            return verdict(matches, read, count)
    return Ambiguous(f"`find` brings more than {MOST_PAGES} pages: make its query narrower")


def paging(find: Find, page: int) -> dict[str, Any]:
    listing = find.operation.listing
    return {"pageinate": True, "page_size": PAGE_SIZE, "page_no": page} if listing is not None and listing.paged else {}


def verdict(matches: list[dict[str, Any]], read: int, count: int | None) -> Answer:
    """What the rows that were read tell; none among fewer than Halo counts is not certainly none."""
    ids = {str(row.get("id")): row.get("id") for row in matches}
    if not matches:
        return NoMatch() if count is None or read >= count else Ambiguous(f"Halo counts {count} rows for `find` but gives {read}")
    if len(ids) > 1:
        return Ambiguous(f"{len(ids)} records match `find`: which one is meant cannot be told")
    record_id = next(iter(ids.values()))
    return Match(record_id) if record_id is not None else Ambiguous("the record that matches `find` has no id")


def same(left: Any, right: Any) -> bool:
    """Equal as Halo writes it: 7, 7.0 and "7" are the same, texts compare without case and outer spaces."""
    return bool(normal(left) == normal(right))


def normal(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, (dict, list)):
        return value
    return str(whole(value)).strip().casefold()
