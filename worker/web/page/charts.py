"""Small charts as SVG: one value a minute over a day, with gaps for unknown values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

from worker.web.page.model import UNKNOWN, Series

WIDTH, HEIGHT = 480, 72
BUCKET = 10  # minutes of one column: 144 of them


@dataclass(frozen=True, slots=True)
class ChartPath:
    """`path`: of the area, for the `d` of an SVG path. `most`, `newest`: values; None without a sample. `known`: minutes with a sample."""

    path: str
    most: float | None
    newest: float | None
    known: int


def chart_path(series: Series, *, limit: float | None = None) -> ChartPath:
    """Return the chart. `limit`: the value at the top, if not the largest value."""
    known = [value for value in series.values if not isnan(value)]
    columns = columns_of(series.values)
    top = max([value for value in columns if not isnan(value)], default=0.0)
    top = max(top, limit or 0.0) or 1.0
    newest = next((value for value in reversed(series.values[-3:]) if not isnan(value)), None)
    return ChartPath(area(columns, top), max(known) if known else None, newest, len(known))


def columns_of(values: Sequence[float]) -> list[float]:
    """Return the largest value of each bucket, so that a peak shows; a bucket without a sample stays unknown."""
    found = []
    for start in range(0, len(values), BUCKET):
        bucket = [value for value in values[start : start + BUCKET] if not isnan(value)]
        found.append(max(bucket) if bucket else UNKNOWN)
    return found


def area(columns: Sequence[float], top: float) -> str:
    """Return a closed shape for each stretch of known columns."""
    width = WIDTH / max(1, len(columns))
    parts: list[str] = []
    inside = False
    for place, value in enumerate([*columns, UNKNOWN]):
        x = round(place * width, 1)
        if isnan(value):
            if inside:
                parts.append(f"V{HEIGHT}Z")
            inside = False
            continue
        y = round(HEIGHT - max(1.0, value / top * (HEIGHT - 2)), 1)  # zero is a thin line, and unknown is a gap
        parts.append(f"V{y}" if inside else f"M{x} {HEIGHT}V{y}")
        parts.append(f"H{round(x + width, 1)}")
        inside = True
    return "".join(parts)
