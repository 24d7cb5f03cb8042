"""Pages of lists, and the filters in their addresses: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Generic, TypeVar

from worker.web.page.model import LetterRow

T = TypeVar("T")
PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """One page of a list; pages count from 1."""

    rows: Sequence[T]
    page: int
    pages: int
    total: int


def list_page(rows: Sequence[T], wanted: str) -> ListPage[T]:
    """Return one page. `wanted`: the number of the page, from an address; for an invalid number the nearest page."""
    pages = max(1, ceil(len(rows) / PER_PAGE))
    page = min(pages, max(1, int(wanted))) if wanted.isdecimal() and len(wanted) < len("1000000") else 1
    return ListPage(rows[(page - 1) * PER_PAGE : page * PER_PAGE], page, pages, len(rows))


def filter_letters(rows: Sequence[LetterRow], route: str, dead_class: str, until: float | None = None) -> list[LetterRow]:
    """Return the letters of a route and a class, if these are not empty. `until`: only letters that were dead at that time, seconds since 1970."""
    return [
        row
        for row in rows
        if (not route or row.route == route) and (not dead_class or row.dead_class == dead_class) and (until is None or (row.at or 0.0) <= until)
    ]


def routes_named(routes: Sequence[Mapping[str, Any]], text: str, kind: str) -> list[Mapping[str, Any]]:
    """Return the routes whose name holds the text; if `kind` is not empty, only routes of this kind."""
    wanted = text.strip().lower()
    return [route for route in routes if wanted in route["name"].lower() and kind in {"", route["kind"]}]
