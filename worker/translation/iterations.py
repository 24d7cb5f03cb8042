"""The iterations of a runbook document: the steps that each repeats, and the iterations that a route file cannot express."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.translation.halo_steps import HaloStep, HaloSteps
from worker.translation.report import Untranslatable


@dataclass(frozen=True, slots=True)
class IterationBlock:
    """`begin`, `end`: the numbers of its first and last step; `body`: the steps between them, including inner iterations; `after`: the next step."""

    begin: int
    end: int
    body: frozenset[int]
    first: int
    after: int
    empty: int
    """The next step when there are no elements."""


def find_iterations(steps: HaloSteps) -> Mapping[int, IterationBlock]:
    """Return the iterations by the number of their first step. Raises `Untranslatable` with the name of a step in its text."""
    found: dict[int, IterationBlock] = {}
    for step in steps.steps.values():
        if step.kind == "begin":
            find_iteration(step, steps.steps, found, ())
    ends = [iteration.end for iteration in found.values()]
    for step in steps.steps.values():
        if step.kind == "continue" and ends.count(step.number) != 1:
            raise Untranslatable(f"`{step.name}` ends {'no iteration' if step.number not in ends else 'several iterations'}")
    return found


def find_iteration(begin: HaloStep, steps: Mapping[int, HaloStep], found: dict[int, IterationBlock], within: tuple[int, ...]) -> IterationBlock:
    if begin.number in within:
        raise Untranslatable(f"`{begin.name}` is reached again within its own iteration")
    if begin.number in found:
        return found[begin.number]
    body: set[int] = set()
    ends: set[int] = set()
    waiting = [way for way in (begin.yes,) if way is not None]
    first = waiting[0]
    while waiting:
        number = waiting.pop()
        step = steps[number]
        if number in body or (step.kind == "continue" and number in ends):
            continue
        if step.kind == "continue":
            ends.add(number)
            continue
        body.add(number)
        if step.kind == "begin":
            inner = find_iteration(step, steps, found, (*within, begin.number))
            body |= inner.body | {inner.end}
            waiting += [inner.after, inner.empty]
        else:
            waiting += step.ways
    check_body(begin, body, ends, steps)
    end = steps[next(iter(ends))]
    empty, after = begin.no if begin.no is not None else end.yes, end.yes
    if after is None or empty is None:
        raise Untranslatable(f"`{end.name}` leads nowhere")
    found[begin.number] = IterationBlock(begin.number, end.number, frozenset(body), first, after, empty)
    return found[begin.number]


def check_body(begin: HaloStep, body: set[int], ends: set[int], steps: Mapping[int, HaloStep]) -> None:
    if len(ends) != 1:
        what = "no step `Next iteration`" if not ends else f"several: {', '.join(sorted(f'`{steps[end].name}`' for end in ends))}"
        raise Untranslatable(f"the iteration `{begin.name}` has {what}")
    for number in sorted(body):
        if steps[number].kind in {"done", "start"}:
            raise Untranslatable(f"`{steps[number].name}` ends the run within the iteration `{begin.name}`, before its other elements: end the element instead")
