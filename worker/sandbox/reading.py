"""How a list's query is read: as it was written, unless a fault makes this Halo deaf to a part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.sandbox.faults import Does, Planned

NO_FILTERS = frozenset({"pageinate", "page_no", "page_size", "count", "order", "orderdesc"})


@dataclass(frozen=True, slots=True)
class Reading:
    """How a Halo reads a list's query. `endless`: after the last page comes the first again."""

    query: Mapping[str, str]
    endless: bool = False


def reading_of(query: Mapping[str, str], struck: Sequence[Planned]) -> Reading:
    """The query as the faults in force have it read."""
    does = {planned.fault.does for planned in struck}
    if Does.REPEAT_PAGE in does:
        query = {name: value for name, value in query.items() if name.lower() != "page_no"}
    if Does.IGNORE_FILTERS in does:
        query = {name: value for name, value in query.items() if name.lower() in NO_FILTERS}
    return Reading(query, Does.ENDLESS_PAGES in does)
