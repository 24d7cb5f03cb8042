"""The progress of an iteration, as part of the run's message: positions, results and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from worker.core.errors import Undecodable
from worker.core.outcome import DeadClass
from worker.flows.running.elements import ElementList


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why an element, or a runbook that a step waits for, failed: as the dead letter would say it."""

    dead_class: str
    reason: str
    status: int | None = None
    step: str = ""

    def check(self) -> None:
        """Check a failure that came in a message. Raises `ValueError` for a class that no dead letter has, or a member of the wrong type."""
        DeadClass(self.dead_class)
        if not (isinstance(self.reason, str) and isinstance(self.step, str) and (self.status is None or type(self.status) is int)):
            raise ValueError


@dataclass(frozen=True, slots=True)
class Iteration:
    """One lane of an iteration; an iteration in order has one lane.

    `position`: the position of the element that is under way or next, among the elements of this lane. `origin`, `visit`: the run that iterates and its visit
    of the step, if there are several lanes. `results`: by variable, in the order of the list. `failures`: the failed elements.
    """

    items: ElementList
    position: int = 0
    lane: int = 0
    lanes: int = 1
    origin: str = ""
    visit: int = 0
    results: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    failures: Sequence[Mapping[str, Any]] = ()

    @property
    def over(self) -> bool:
        return self.position >= self.items.count

    @property
    def index(self) -> int:
        """The place of the element in the whole list, counted from 0."""
        return self.position * self.lanes + self.lane

    def element(self) -> Any:
        """Raises `Undecodable`."""
        return self.items.at(self.position)

    def advanced(self, results: Mapping[str, Any], failure: RunFailure | None = None) -> Self:
        """Return the iteration after this element. Raises `Undecodable`.

        `results`: the value that the element adds to each variable. A failed element adds null, so that results keep their places.
        """
        collected = {name: [*self.results.get(name, ()), value] for name, value in results.items()}
        failed = [] if failure is None else [failed_element(self.index, self.element(), failure)]
        position = self.position + 1
        return replace(self, position=position, items=self.items.since(position), results=collected, failures=[*self.failures, *failed])

    def document(self) -> dict[str, Any]:
        members = {name: getattr(self, name) for name in ("position", "lane", "lanes", "origin", "visit", "results", "failures")}
        return members | {"chunks": self.items.chunks, "count": self.items.count, "dropped": self.items.dropped, "weighs": self.items.weighs}

    @classmethod
    def read(cls, document: Any) -> Self:
        """Raises `Undecodable`."""
        numbers = ("position", "lane", "lanes", "visit", "count", "dropped")
        good = isinstance(document, dict) and all(type(document.get(name)) is int and document[name] >= 0 for name in numbers)
        if not (good and isinstance(document.get("origin"), str) and lists_of(document)):
            raise Undecodable("the run's iteration has a member of the wrong type")
        weighs = document.get("weighs")
        items = ElementList(tuple(document["chunks"]), document["count"], document["dropped"], weighs if type(weighs) is int else 0)
        known = {name: document[name] for name in ("position", "lane", "lanes", "origin", "visit", "results", "failures")}
        return cls(items, **known)


def lists_of(document: Mapping[str, Any]) -> bool:
    """Whether chunks, results and failures are of the types that an iteration has."""
    chunks, results, failures = document.get("chunks"), document.get("results"), document.get("failures")
    texts = isinstance(chunks, list) and all(isinstance(chunk, str) for chunk in chunks)
    collected = isinstance(results, dict) and all(isinstance(values, list) for values in results.values())
    return texts and collected and isinstance(failures, list) and document.get("lanes", 0) > 0


def failed_element(index: int, item: Any, failure: RunFailure) -> dict[str, Any]:
    """An element of the variable that `failures` names."""
    return {
        "index": index,
        "item": item,
        "step": failure.step,
        "class": failure.dead_class,
        "reason": failure.reason,
        "status": failure.status,
    }


async def lane_items(items: Sequence[Any], lanes: int) -> list[ElementList]:
    """Return the elements of each lane. Raises `Undecodable`.

    The first lane takes the first of every `lanes` elements, the second lane the second, and so on. So all lanes go through the list at the same pace.
    """
    return [await ElementList.paced(items[lane::lanes]) for lane in range(lanes)]


def merge_lanes(parts: Mapping[int, Mapping[str, Any]], iteration: Iteration) -> Iteration:
    """Return the iteration with the results of all its lanes: it is over, and has one lane. `parts`: the document of each lane."""
    count = sum(part["count"] for part in parts.values())
    lanes = len(parts)
    results = {name: [parts[index % lanes]["results"][name][index // lanes] for index in range(count)] for name in iteration.results}
    failures = sorted((failure for part in parts.values() for failure in part["failures"]), key=lambda failure: failure["index"])
    return Iteration(ElementList(), results=results, failures=failures)
