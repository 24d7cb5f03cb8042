"""Pages of lists, and the filters of their addresses: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Generic, TypeVar

from worker.web.page.model import LetterRow

T = TypeVar("T")
PER_PAGE = 50


@dataclass(frozen=True, slots=True)
class Portion(Generic[T]):
    """One page of a list; pages count from 1."""

    rows: Sequence[T]
    page: int
    pages: int
    total: int


def portion(rows: Sequence[T], wanted: str) -> Portion[T]:
    """`wanted`: the number of the page, as an address has it; what is no page is the nearest one."""
    pages = max(1, ceil(len(rows) / PER_PAGE))
    page = min(pages, max(1, int(wanted))) if wanted.isdecimal() and len(wanted) < len("1000000") else 1
    return Portion(rows[(page - 1) * PER_PAGE : page * PER_PAGE], page, pages, len(rows))


def chosen(rows: Sequence[LetterRow], route: str, dead_class: str, until: float | None = None) -> list[LetterRow]:
    """Letters of a route and a class, where these are not empty; `until`: only those that were dead by then, seconds since 1970."""
    return [
        row
        for row in rows
        if (not route or row.route == route) and (not dead_class or row.dead_class == dead_class) and (until is None or (row.at or 0.0) <= until)
    ]


def routes_named(routes: Sequence[Mapping[str, Any]], text: str, kind: str) -> list[Mapping[str, Any]]:
    """Those whose name holds the text, of this kind where it is not empty."""
    wanted = text.strip().lower()
    return [route for route in routes if wanted in route["name"].lower() and kind in {"", route["kind"]}]
