"""How a list's query is read: as it was written, unless a fault makes this Halo deaf to a part of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.sandbox.faults import ActiveFault, FaultKind

NO_FILTERS = frozenset({"pageinate", "page_no", "page_size", "count", "order", "orderdesc"})


@dataclass(frozen=True, slots=True)
class ListQuery:
    """A query, names in lower case. `endless`: after the last page of a list comes the first again."""

    parameters: Mapping[str, str]
    endless: bool = False


def read_list_query(query: Mapping[str, str], struck: Sequence[ActiveFault]) -> ListQuery:
    """The query as the faults in force have it read."""
    does = {active.fault.does for active in struck}
    read = {name.lower(): value for name, value in query.items()}
    if FaultKind.REPEAT_PAGE in does:
        read.pop("page_no", None)
    if FaultKind.IGNORE_FILTERS in does:
        read = {name: value for name, value in read.items() if name in NO_FILTERS}
    return ListQuery(read, FaultKind.ENDLESS_PAGES in does)
