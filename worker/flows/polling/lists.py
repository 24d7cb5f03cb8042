"""Reads one whole list below a record: the children of a parent, or a list that a route includes in its records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.catalogue.operation import Operation
from worker.changes.pages import OnPage, PageReader
from worker.changes.position import Position
from worker.changes.scan import Scan, SeenRows
from worker.core.exchange import Exchange, Request
from worker.core.ports import Reader


@dataclass(frozen=True, slots=True)
class WholeList:
    """The rows by key. `failure`: the exchange that failed. `reason`: why the rows may not be complete. `ambiguous`: the key does not identify the rows."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    failure: Exchange | None = None
    reason: str = ""
    ambiguous: bool = False


def ignore_page(number: int, page: object, exchange: Exchange) -> None:
    """Do nothing: for a list whose pages are not counted."""


async def read_list(
    reader: Reader, operation: Operation, request: Request, key: Sequence[str], *, on_page: OnPage = ignore_page, ignore: frozenset[str] = frozenset()
) -> WholeList:
    """Read every page. A row that moved between two pages is there once, with its last content."""
    listing = operation.listing
    ordered = listing is not None and listing.ordered and not {"order", "orderdesc"} & {name.lower() for name in request.query}
    scan = Scan(PageReader(reader, request, listing, on_page), key, None, ordered=ordered, pause=lambda: False, ignore=ignore)
    position, rows = Position(), dict[str, dict[str, Any]]()
    async for step in scan.steps(position, SeenRows()):
        position = step.position
        if step.failure is not None or step.ambiguous:
            return WholeList({}, step.failure, position.reason, step.ambiguous)
        rows |= {name: row for name, row in zip(step.keys, step.rows, strict=True) if name is not None}
    return WholeList(rows, reason=position.reason if position.state != "complete" else "")
