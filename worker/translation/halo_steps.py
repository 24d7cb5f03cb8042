"""The steps of a runbook document: their kinds, the two ways out of each, and their mistakes by the name of the step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from worker.translation.report import TranslationReport

Kind = Literal["condition", "done", "failed", "method", "action", "begin", "continue", "sleep", "start"]
CONDITION, ACTION, END = 1, 2, 3
KINDS: Mapping[int, Kind] = {6: "method", 8: "action", 12: "begin", 13: "continue", 21: "sleep", 24: "start"}
WITHOUT: Mapping[int, str] = {
    18: "runs an SQL query: read the rows by a subscriber with `report`, or by a method of an integration with the report API",
    25: "asks Halo's AI: call the API of a model by a method of an integration",
    26: "starts an AI agent of Halo: call the API of a model by a method of an integration",
}
LOOP = -98
"""The `end_step` that leads back to the beginning of the iteration."""
EDGES: Mapping[Kind, int] = {"condition": 12, "method": 17, "action": 18, "begin": 22, "continue": 23, "sleep": 32}
"""The `action_type` of the ways out of each kind."""
MAX_STEPS = 2000


@dataclass(frozen=True, slots=True)
class HaloStep:
    """One step. `yes`: the step after a success or a true condition; `no`: the other way. Both are numbers of steps; None: there is no such way."""

    number: int
    name: str
    kind: Kind
    document: Mapping[str, Any]
    yes: int | None = None
    no: int | None = None

    @property
    def ways(self) -> tuple[int, ...]:
        return tuple(way for way in (self.yes, self.no) if way is not None and way != LOOP)


@dataclass(frozen=True, slots=True)
class HaloSteps:
    """The valid steps by number, in the order of the document. `first`: the number of the step that begins a run."""

    steps: Mapping[int, HaloStep]
    first: int


def read_steps(document: Mapping[str, Any], report: TranslationReport) -> HaloSteps | None:
    """Return the steps; None after refusals, which the report lists."""
    rows = document.get("steps")
    if not isinstance(rows, list) or not rows:
        report.refuse("steps", "the runbook has no steps" if rows in (None, []) else "`steps` is not a list")
        return None
    if len(rows) > MAX_STEPS:
        report.refuse("steps", f"the runbook has {len(rows):,} steps; at most {MAX_STEPS:,} are translated")
        return None
    before = len(report.refusals)
    found: dict[int, HaloStep] = {}
    for index, row in enumerate(rows):
        step = read_step(row, index, report)
        if step is not None and step.number in found:
            report.refuse(step.name, f"the number {step.number} (`step_id`) is taken by `{found[step.number].name}`")
        elif step is not None:
            found[step.number] = step
    firsts = [step for step in found.values() if step.document.get("isstart") is True]
    if len(firsts) != 1 and len(report.refusals) == before:
        names = ", ".join(f"`{step.name}`" for step in firsts)
        report.refuse("steps", f"{len(firsts)} steps begin the runbook (`isstart`): {names}" if firsts else "no step begins the runbook (`isstart`)")
    for step in found.values():
        for why in problems(step, found):
            report.refuse(step.name, why)
    return HaloSteps(found, firsts[0].number) if len(report.refusals) == before else None


def read_step(row: Any, index: int, report: TranslationReport) -> HaloStep | None:
    place = f"step {index + 1}"
    if not isinstance(row, Mapping):
        report.refuse(place, "the step is not an object")
        return None
    name = row.get("name")
    name = name if isinstance(name, str) and name.strip() else place
    number = row.get("step_id")
    if not is_number(number) or number <= 0:
        report.refuse(name, "`step_id` is not a positive whole number")
        return None
    kind = kind_of(row, name, report)
    edges = row.get("actions")
    if edges is not None and not (isinstance(edges, list) and all(isinstance(edge, Mapping) for edge in edges)):
        report.refuse(name, "`actions` is not a list of objects")
        return None
    ways = read_ways(name, number, edges or (), report) if kind is not None else None
    return HaloStep(number, name, kind, row, *ways) if kind is not None and ways is not None else None


def kind_of(row: Mapping[str, Any], name: str, report: TranslationReport) -> Kind | None:
    steptype, auto = row.get("steptype"), row.get("auto_action")
    if steptype == CONDITION:
        return "condition"
    if steptype == END and auto in (None, 0, 1):
        return "failed" if auto == 1 else "done"
    if steptype != ACTION or not is_number(auto):
        report.refuse(name, f"the kind of step {steptype!r} with the action {auto!r} is not known (`steptype`, `auto_action`)")
        return None
    if auto not in KINDS:
        report.refuse(name, f"the step {WITHOUT.get(auto, f'does something that is not known (`auto_action` {auto})')}")
        return None
    return KINDS[auto]


def read_ways(name: str, number: int, edges: Sequence[Mapping[str, Any]], report: TranslationReport) -> tuple[int | None, int | None] | None:
    found: dict[int, int] = {}
    for edge in edges:
        result, start, end = (edge.get(member) for member in ("approval_result", "start_step", "end_step"))
        if not is_number(result) or result not in {0, 1} or not is_number(end):
            report.refuse(name, "a way out of the step has no `approval_result` of 0 or 1, or no number of the next step (`end_step`)")
            return None
        if start is not None and start != number:
            report.refuse(name, f"a way out of the step says that it begins at the step {start!r} (`start_step`)")
            return None
        if result in found:
            report.refuse(name, f"two ways out of the step have the same result (`approval_result` {result})")
            return None
        found[result] = end
    return found.get(1), found.get(0)


def problems(step: HaloStep, steps: Mapping[int, HaloStep]) -> Iterator[str]:
    """Yield the mistakes in the ways out of a step."""
    for way in (step.yes, step.no):
        if way is not None and way not in steps and not (way == LOOP and step.kind == "continue"):
            yield f"a way leads to the step {way}, which is missing" if way != LOOP else "the way back to the iteration (-98) is for the step `Next iteration`"
    if step.kind in {"done", "failed", "start"}:
        if step.ways:
            yield "the step ends the run, and has a way on"
    elif step.yes is None:
        yield "no way leads on after the step: Halo ends such a run with `Next step not found`"
    elif step.kind == "continue" and (step.no != LOOP or step.yes == LOOP):
        yield "the iteration does not go on with its next element: the second way must lead to -98"


def is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
