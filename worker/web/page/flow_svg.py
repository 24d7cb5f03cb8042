"""The layout of a flow chart: boxes in rows from top to bottom, and lines between them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.web.page.model import FlowChart

BOX_WIDTH, BOX_HEIGHT = 190, 40
GAP_X, GAP_Y = 24, 34
MARGIN = 12
CHARACTERS = 25  # of a label in a box


@dataclass(frozen=True, slots=True)
class GraphNode:
    name: str
    label: str
    kind: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """`path`: for the `d` of an SVG path. `way`: its name in the trace. `back`: the line leads up."""

    path: str
    way: tuple[str, str]
    label: str
    back: bool


@dataclass(frozen=True, slots=True)
class Layout:
    width: int
    height: int
    boxes: tuple[GraphNode, ...]
    lines: tuple[GraphEdge, ...]


def layout(chart: FlowChart) -> Layout:
    """Return the layout. The row of a step is its distance from the start, as `ranks` counts it."""
    rows: dict[int, list[str]] = {}
    for name, row in ranks(chart).items():
        rows.setdefault(row, []).append(name)
    widest = max(map(len, rows.values()), default=1)
    width = 2 * MARGIN + widest * BOX_WIDTH + (widest - 1) * GAP_X + 40
    steps = {step.name: step for step in chart.steps}
    boxes: dict[str, GraphNode] = {}
    for row, names in rows.items():
        taken = len(names) * BOX_WIDTH + (len(names) - 1) * GAP_X
        left = (width - taken) // 2
        for place, name in enumerate(names):
            x, y = left + place * (BOX_WIDTH + GAP_X), MARGIN + row * (BOX_HEIGHT + GAP_Y)
            boxes[name] = GraphNode(name, shortened(name), steps[name].kind, x, y)
    lines = tuple(line(boxes[step.name], boxes[target], why, width) for step in chart.steps for target, why in step.leads if target in boxes)
    height = 2 * MARGIN + len(rows) * BOX_HEIGHT + max(0, len(rows) - 1) * GAP_Y
    return Layout(width, height, tuple(boxes.values()), lines)


def ranks(chart: FlowChart) -> dict[str, int]:
    """Return the row of each step, breadth first from the start. A line back moves no step."""
    steps = {step.name: step for step in chart.steps}
    found: dict[str, int] = {chart.first: 0}
    waiting = [chart.first]
    while waiting:
        name = waiting.pop(0)
        for target, _ in steps[name].leads:
            if target in steps and target not in found:
                found[target] = found[name] + 1
                waiting.append(target)
    return dict(sorted(found.items(), key=lambda item: item[1]))


def line(start: GraphNode, end: GraphNode, why: str, width: int) -> GraphEdge:
    way = (start.name, end.name)
    x1, x2 = start.x + BOX_WIDTH // 2, end.x + BOX_WIDTH // 2
    if end.y > start.y:
        y1, y2 = start.y + BOX_HEIGHT, end.y
        middle = y2 - GAP_Y // 2
        return GraphEdge(f"M{x1} {y1}V{y1 + 8}L{x2} {middle}V{y2 - 5}" if x1 != x2 else f"M{x1} {y1}V{y2 - 5}", way, why, back=False)
    side = width - MARGIN
    y1, y2 = start.y + BOX_HEIGHT // 2, end.y + BOX_HEIGHT // 2
    return GraphEdge(f"M{start.x + BOX_WIDTH} {y1}H{side}V{y2 - 6}H{end.x + BOX_WIDTH + 5}", way, why, back=True)


def shortened(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"


def visited_edges(ways: Mapping[str, int] | tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """Return the ways of a run as pairs of steps."""
    return frozenset((before, after.partition(", element")[0]) for before, _, after in (way.partition(" → ") for way in ways))
