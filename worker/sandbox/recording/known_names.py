"""The names that Halo's published API uses: members, query parameters and segments of paths. Any other name in an answer may itself be personal data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from worker.catalogue.catalogue import load
from worker.catalogue.operations import read_schemas
from worker.catalogue.published import ungrouped

BESIDE = frozenset(
    {"record_count", "results", "rows", "loaded", "load_error", "report", "error", "error_description", "message", "classname", "lastupdate", "useremail"}
)
"""Members that occur in answers but not in the published schemas."""


@dataclass(frozen=True, slots=True)
class KnownNames:
    """All in lower case."""

    members: frozenset[str]
    parameters: frozenset[str]
    segments: frozenset[str]

    @classmethod
    def published(cls, keep: Iterable[str] = ()) -> Self:
        """Return the names of the published API, and the names of members in `keep`."""
        operations = load().operations()
        members = {name for schema in read_schemas().values() for name in ungrouped(schema)}
        rows = {each.listing.key for each in operations if each.listing is not None and each.listing.key}
        parameters = {name for each in operations for name in each.query_parameters}
        segments = {part for each in operations for part in each.path.split("/") if part and "{" not in part}
        return cls(lower({*members, *rows, *BESIDE, *keep}), lower({*parameters, "page_no", "page_size", "pageinate"}), lower(segments))


def lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)
