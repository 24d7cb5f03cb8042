"""Looks up the one record that an earlier attempt may have created."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from worker.config.compiled import Find
from worker.core.errors import ExpressionError
from worker.core.exchange import Exchange, Priority
from worker.core.ports import Evaluator, Halo
from worker.flows.lookups.rows import MAX_PAGES, MatchingRows, RowsUnavailable, TooManyRows, matching_rows, normal


@dataclass(frozen=True, slots=True)
class Match:
    """The one match."""

    record_id: Any


@dataclass(frozen=True, slots=True)
class NoMatch:
    """There is certainly no match."""


@dataclass(frozen=True, slots=True)
class AmbiguousMatch:
    """More than one match, or more rows than can be looked through."""

    reason: str


@dataclass(frozen=True, slots=True)
class LookupFailed:
    """Halo did not answer the lookup."""

    exchange: Exchange


Answer = Match | NoMatch | AmbiguousMatch | LookupFailed


async def match_of(find: Find, context: Any, bindings: dict[str, Any], evaluator: Evaluator) -> dict[str, Any]:
    """Return the members that the record must have. Raises `ExpressionError` where one has no value: nothing can be looked up by it."""
    wanted = {name: await template.evaluate(context, bindings, evaluator) for name, template in find.match.items()}
    if not wanted:
        raise ExpressionError("`find.match` names no member: nothing can be looked up by it")
    if empty := [name for name, value in wanted.items() if normal(value) in (None, "")]:
        raise ExpressionError(f"`find.match.{empty[0]}` has no value in this message: nothing can be looked up by it")
    return wanted


async def lookup(
    halo: Halo,
    find: Find,
    wanted: Mapping[str, Any],
    context: Any,
    bindings: dict[str, Any],
    evaluator: Evaluator,
    *,
    priority: Priority,
    timeout: float | None,  # noqa: ASYNC109 - part of the requests
) -> Answer:
    """Ask for the rows and compare them with `wanted`.

    `priority` and `timeout` (seconds for each request; None: the client's) are those of the write. Raises `ExpressionError`, `RequestError`.
    """
    path = {name: await template.evaluate(context, bindings, evaluator) for name, template in find.path.items()}
    query = {name: await template.evaluate(context, bindings, evaluator) for name, template in find.query.items()}
    match await matching_rows(halo, find.operation, path, query, wanted, priority=priority, timeout=timeout):
        case RowsUnavailable(exchange):
            return LookupFailed(exchange)
        case TooManyRows():
            return AmbiguousMatch(f"`find` brings more than {MAX_PAGES} pages: make its query narrower")
        case MatchingRows() as found:
            return verdict(found)


def verdict(found: MatchingRows) -> Answer:
    """Return the answer for the rows that match. Without a match, `NoMatch` needs as many rows as Halo counts."""
    ids = {str(row.get("id")): row.get("id") for row in found.rows}
    if not ids:
        return NoMatch() if found.complete else AmbiguousMatch(f"Halo counts {found.count} rows for `find` but gives {found.read}")
    if len(ids) > 1:
        return AmbiguousMatch(f"{len(ids)} records match `find`, which must match exactly one")
    record_id = next(iter(ids.values()))
    return Match(record_id) if record_id is not None else AmbiguousMatch("the record that matches `find` has no id")
