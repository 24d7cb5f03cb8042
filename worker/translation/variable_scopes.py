"""Checks variables that an iteration sets: in Halo they outlive it, here they end with each element. Steps that depend on that cannot be translated."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping

from worker.translation.halo_steps import HaloStep, HaloSteps
from worker.translation.iterations import IterationBlock
from worker.translation.known_methods import ImportContext
from worker.translation.outputs import read_outputs
from worker.translation.report import Untranslatable
from worker.translation.texts import variables_of


def check_scopes(steps: HaloSteps, iterations: Mapping[int, IterationBlock], around: ImportContext, declared: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of a step's name and its mistake."""
    del declared  # not needed: a declared variable that an element sets is changed for the steps after it too
    for iteration in iterations.values():
        begin = steps.steps[iteration.begin]
        inside = {name: setters(name, iteration, steps, around) for number in iteration.body for name in sets(steps.steps[number], around)}
        inside |= {name: {iteration.begin} for name in sets(begin, around)}
        for number, step in steps.steps.items():
            if number in iteration.body and step.kind == "failed":
                continue
            if number not in {*iteration.body, iteration.end, iteration.begin}:
                for way in step.ways:
                    if way in iteration.body and steps.steps[way].kind != "failed":
                        yield step.name, f"a way leads into the middle of the iteration `{begin.name}`"
            for name in sorted(uses(step, around) & inside.keys()):
                if number not in {*iteration.body, iteration.end, iteration.begin} and is_after(iteration.after, number, steps):
                    yield step.name, f"it uses the variable `{name}`, which the iteration `{begin.name}` sets: here it ends with each element"
                elif number in iteration.body and not any(setter == iteration.begin or reaches(setter, number, iteration, steps) for setter in inside[name]):
                    yield step.name, f"it uses the variable `{name}` of the element before, which the iteration `{begin.name}` does not keep here"


def setters(name: str, iteration: IterationBlock, steps: HaloSteps, around: ImportContext) -> set[int]:
    return {number for number in iteration.body if name in sets(steps.steps[number], around)}


def reaches(start: int, end: int, iteration: IterationBlock, steps: HaloSteps) -> bool:
    """Whether a step can come after another one in the same element."""
    return is_after_any(steps.steps[start].ways, end, steps, beyond=iteration.end)


def is_after(start: int, end: int, steps: HaloSteps) -> bool:
    return start == end or is_after_any((start,), end, steps, beyond=None)


def is_after_any(starts: Collection[int], end: int, steps: HaloSteps, beyond: int | None) -> bool:
    found: set[int] = set()
    waiting = list(starts)
    while waiting:
        number = waiting.pop()
        if number == end:
            return True
        if number not in found and number != beyond:
            found.add(number)
            waiting += steps.steps[number].ways
    return False


def sets(step: HaloStep, around: ImportContext) -> set[str]:
    found: set[str] = set()
    for member in ("output_variables", "runbook_variable_mappings"):
        try:
            found |= read_outputs(step.document.get(member)).keys()
        except Untranslatable:
            continue  # the translation of the step reports it
    method = around.method_of(step)
    return found | (set(method.sets) if method is not None else set())


def uses(step: HaloStep, around: ImportContext) -> set[str]:
    texts = [step.document.get("message") if step.kind != "continue" else None, step.document.get("step_conditions"), step.document.get("input_values")]
    found = variables_of(" ".join(json.dumps(text, ensure_ascii=False, default=str) for text in texts if text is not None))
    method = around.method_of(step)
    return found | (set(method.uses) if method is not None else set())
