"""The flow chart of a route file in Halo's form: numbers of steps, and the steps that end an iteration, which only Halo has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.translation.halo_steps import EDGES, LOOP, Kind
from worker.translation.inputs import holds_expression
from worker.translation.report import Untranslatable

Steps = Mapping[str, Mapping[str, Any]]
NAMES: Mapping[Kind, tuple[str, str]] = {
    "condition": ("Condition met", "Condition not met"),
    "method": ("Successful Response (200 - 299)", "Unsuccessful Response"),
    "action": ("Successful", "Unsuccessful"),
    "begin": ("Has elements", "Has no elements"),
    "continue": ("Iteration finished", "Next iteration"),
    "sleep": ("Sleep Finished", "Sleep Finished"),
}


@dataclass
class ExportGraph:
    """`numbers`: of Halo's steps, by name. `ends`: the number of the step that ends each iteration, by the name of its `for_each` step.

    `owner`: the `for_each` step whose elements contain a step. `values`: the step that sets variables of each element, by the name of the `for_each` step.
    """

    first: str
    declared: str
    numbers: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    owner: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def way(self, step: str, target: str | None, steps: Steps) -> int:
        """Return the number that a way of a step leads to. None, and the end of an element, lead to the end of the iteration. Raises `Untranslatable`."""
        iteration = self.owner.get(step)
        if target is None or (steps[target].get("end") == "done" and target not in self.numbers):
            if iteration is None:
                raise Untranslatable("the run is done after this step: Halo needs a step that ends it")
            return self.ends[iteration]
        return self.numbers[target]


def read_graph(definition: Mapping[str, Any], numbers: Mapping[str, int], ends: Mapping[str, int]) -> ExportGraph:
    """Return the graph. `numbers`, `ends`: the existing ones of Halo's document. Raises `Untranslatable`."""
    steps: Steps = definition["steps"]
    first, declared = definition["first"], ""
    opening = steps[first].get("set")
    if opening is not None and not holds_expression(opening) and isinstance(steps[first].get("next"), str) and first not in numbers:
        first, declared = steps[first]["next"], first
    graph = ExportGraph(first, declared)
    for name in [name for name, step in steps.items() if "for_each" in step]:
        claim_elements(name, steps, graph)
    finals = {name for name, step in steps.items() if step.get("end") == "done" and name in graph.owner}
    hidden = {declared, *graph.values.values(), *finals}
    free = free_numbers({*numbers.values(), *ends.values()})
    for name in steps:
        if name not in hidden:
            graph.numbers[name] = numbers[name] if name in numbers else next(free)
    for name, step in steps.items():
        if "for_each" in step:
            graph.ends[name] = ends[name] if name in ends else next(free)
    return graph


def claim_elements(iteration: str, steps: Steps, graph: ExportGraph) -> None:
    """Mark the steps of the elements. Raises `Untranslatable` for a step of two iterations."""
    begin = steps[iteration]["do"]
    if "set" in steps[begin] and isinstance(steps[begin].get("next", ""), str):
        graph.values[iteration] = begin
    waiting = [begin]
    while waiting:
        name = waiting.pop()
        if steps[name].get("end") == "failed" or graph.owner.get(name) == iteration:
            continue
        if name in graph.owner:
            raise Untranslatable(f"the step `{name}` is in the elements of `{graph.owner[name]}` and of `{iteration}`: Halo needs one for each")
        graph.owner[name] = iteration
        waiting += targets(steps[name])


def targets(step: Mapping[str, Any]) -> list[str]:
    """Return the steps that may follow, without the steps of elements."""
    following = step.get("next")
    found = [following] if isinstance(following, str) else [branch["go"] for branch in following or ()]
    return [*found, *([step["on_failure"]] if step.get("on_failure") else [])]


def free_numbers(taken: Collection[int]) -> Iterator[int]:
    number = 0
    while True:
        number += 1
        if number not in taken:
            yield number


def ways(kind: Kind, number: int, yes: int, no: int | None) -> list[dict[str, Any]]:
    """Return the `actions` of a step."""
    found = [(yes, 1)] + ([(no, 0)] if no is not None else [])
    return [
        {
            "action_type": EDGES[kind],
            "action_id": -EDGES[kind],
            "action_name": NAMES[kind][1 - result],
            "start_step": number,
            "end_step": end,
            "seq": 2 - result,
            "approval_result": result,
        }
        for end, result in found
    ]


def loop_ways(number: int, after: int) -> list[dict[str, Any]]:
    return ways("continue", number, after, LOOP)
