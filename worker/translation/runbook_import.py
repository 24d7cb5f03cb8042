"""Translates a runbook document of Halo to the definition of a runbook in a route file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.translation.conditions import ordered
from worker.translation.halo_steps import HaloStep, HaloSteps, read_steps
from worker.translation.inputs import Inputs, read_inputs
from worker.translation.iterations import IterationBlock, find_iterations
from worker.translation.known_methods import ImportContext
from worker.translation.naming import slug, unique
from worker.translation.outputs import read_outputs
from worker.translation.report import TranslationReport, Untranslatable
from worker.translation.run_starts import start_of
from worker.translation.steps_import import StepTranslation, condition_of, each_of
from worker.translation.texts import jsonata_name, jsonata_path, read_variable
from worker.translation.variable_scopes import check_scopes, is_after_any

ELEMENTS = "variables that an element sets end with it; its texts are put into longer text without quotes, also without `!`"
MAX_STEPS = 10_000
"""The largest `step_limit`: Halo's own limit is not known."""


@dataclass(frozen=True)
class ImportedRunbook:
    """`steps`: the names of the translated steps, by number; `added`: steps without a step in the document."""

    definition: dict[str, Any]
    steps: dict[int, str]
    added: tuple[str, ...] = ()


@dataclass
class ChartBuilder:
    """The flow chart in progress."""

    names: Mapping[int, str]
    iterations: Mapping[int, IterationBlock]
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)
    added: dict[str, None] = field(default_factory=dict)

    def add(self, wanted: str, step: dict[str, Any]) -> str:
        """Add a step that the document does not have, and return its name; an equal step is added only once."""
        if self.steps.get(wanted) == step and wanted in self.added:
            return wanted
        name = unique(wanted, {*self.names.values(), *self.steps})
        self.steps[name] = step
        self.added[name] = None
        return name

    def of(self, iteration: IterationBlock | None) -> str:
        """Return the name of the first step of an iteration."""
        return self.names[iteration.begin] if iteration is not None else ""


def import_runbook(document: Mapping[str, Any], name: str, around: ImportContext, report: TranslationReport) -> ImportedRunbook | None:
    """Translate the runbook; None after refusals, which the report lists. `name`: in the route file."""
    steps = read_steps(document, report)
    inputs = read_inputs(document.get("input_variables"), report)
    if steps is None or not report.is_complete:
        return None
    try:
        start = start_of(document, name, report)
        iterations = find_iterations(steps)
    except Untranslatable as error:
        report.refuse(str(document.get("name")), str(error))
        return None
    reached = reachable(steps, iterations)
    for step in steps.steps.values():
        if step.number not in reached:
            report.add(step.name, "a step that no step leads to", "left out of the route file, kept in the copy of the document")
    for why in check_scopes(steps, iterations, around, inputs.names):
        report.refuse(*why)
    chart = make_chart(steps, iterations, reached, inputs, around, report)
    if chart is None or not report.is_complete:
        return None
    first = chart.names[steps.first]
    if inputs.values:
        first = chart.add("variables", {"set": inputs.values, "next": first})
        report.add("input_variables", ", ".join(inputs.values), f"the step `{first}` sets them")
    definition: dict[str, Any] = {"start": start} | ({"input": inputs.paths} if inputs.paths else {}) | {"first": first}
    if any(is_after_any(steps.steps[number].ways, number, steps, beyond=None) for number in reached):
        definition["step_limit"] = MAX_STEPS
        report.add("steps", "steps that repeat", f"step_limit: {MAX_STEPS}", "a run fails after this number of steps")
    ordered = {first: chart.steps[first]} | chart.steps
    return ImportedRunbook(definition | {"steps": ordered}, dict(chart.names), tuple(chart.added))


def reachable(steps: HaloSteps, iterations: Mapping[int, IterationBlock]) -> set[int]:
    found: set[int] = set()
    waiting = [steps.first]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            iteration = iterations.get(number)
            waiting += [*steps.steps[number].ways, *([iteration.after] if iteration else [])]
    return found


def step_names(steps: HaloSteps, reached: Collection[int], iterations: Mapping[int, IterationBlock]) -> dict[int, str]:
    """Return the names of the steps that have a counterpart: the end of an iteration has none."""
    ends = {iteration.end for iteration in iterations.values()}
    found: dict[int, str] = {}
    for number, step in steps.steps.items():
        if number in reached and number not in ends:
            found[number] = unique(slug(step.name, f"step-{number}"), found.values())
    return found


def make_chart(
    steps: HaloSteps, iterations: Mapping[int, IterationBlock], reached: Collection[int], inputs: Inputs, around: ImportContext, report: TranslationReport
) -> ChartBuilder | None:
    chart = ChartBuilder(step_names(steps, reached, iterations), iterations)
    plain = plain_variables(steps, inputs, around)
    translation = StepTranslation(around, plain, report)
    taken = {*inputs.names, *plain, *variables_set(steps, around)}
    for number in chart.names:
        step = steps.steps[number]
        try:
            chart.steps[chart.names[number]] = {}  # keeps the order of the document
            chart.steps[chart.names[number]] = with_ways(step, chart, translation, taken, report)
        except Untranslatable as error:
            report.refuse(step.name, str(error))
    return chart if report.is_complete else None


def with_ways(step: HaloStep, chart: ChartBuilder, translation: StepTranslation, taken: Collection[str], report: TranslationReport) -> dict[str, Any]:
    """Return the step of the route file, with its `next` and `on_failure`."""
    if step.kind == "begin":
        return iteration_step(step, chart, taken, report)
    made = translation.translate(step)
    if step.kind == "condition":
        expression = condition_of(step)
        branches = [{"when": f"{{{{ {expression} }}}}", "go": target(step.yes, chart, branch=True)}]
        report.add(step.name, "condition", f"when: {expression}")
        return {"next": [*branches, *([{"go": target(step.no, chart, branch=True)}] if step.no is not None else [])]}
    if step.kind in {"done", "failed", "start"}:
        return made
    following = target(step.yes, chart, branch=not made)
    failing = {"on_failure": target(step.no, chart, branch=True)} if step.no is not None and step.kind in {"method", "action"} else {}
    return made | ({"next": following} if following else {}) | failing


def target(number: int | None, chart: ChartBuilder, *, branch: bool) -> str:
    """Return the name of the next step; empty at the end of an element, where a way ends. `branch`: a name is needed there too."""
    iteration = next((each for each in chart.iterations.values() if each.end == number), None)
    if iteration is None:
        return chart.names[number or 0]
    return chart.add(f"{chart.of(iteration)}-done", {"end": "done"}) if branch else ""


def iteration_step(step: HaloStep, chart: ChartBuilder, taken: Collection[str], report: TranslationReport) -> dict[str, Any]:
    iteration, name = chart.iterations[step.number], chart.names[step.number]
    made, values = each_of(step, taken)
    first = target(iteration.first, chart, branch=True)
    if values:
        first = chart.add(f"{name}-values", {"set": values, "next": first})
    after = target(iteration.after, chart, branch=False)
    step_made = made | {"do": first} | ({"next": after} if after else {})
    report.add(step.name, f"iteration over {made['for_each']}", f"for_each, each element in `{made['as']}`", ELEMENTS)
    if iteration.empty == iteration.after:
        return step_made
    items = made["for_each"][2:-2]
    begin = chart.add(f"{name}-elements", step_made)
    empty = target(iteration.empty, chart, branch=True)
    return {"next": [{"when": f"{{{{ {ordered(items_expression(items), '>', '0')} }}}}", "go": begin}, {"go": empty}]}


def items_expression(text: str) -> str:
    variable = read_variable(text)
    return jsonata_name(variable.text) if variable.path is None else jsonata_path(variable.path)


def variables_set(steps: HaloSteps, around: ImportContext) -> Iterator[str]:
    for step in steps.steps.values():
        for member in ("output_variables", "runbook_variable_mappings"):
            try:
                yield from read_outputs(step.document.get(member))
            except Untranslatable:
                continue  # the translation of the step reports it
        method = around.method_of(step)
        yield from method.sets if method is not None else ()


def plain_variables(steps: HaloSteps, inputs: Inputs, around: ImportContext) -> frozenset[str]:
    """Return the variables that hold texts in every place that sets them, as far as the document shows it."""
    texts, others = set(inputs.plain), inputs.names - inputs.plain
    for step in steps.steps.values():
        for member in ("output_variables", "runbook_variable_mappings"):
            try:
                outputs = read_outputs(step.document.get(member))
            except Untranslatable:
                continue
            for name, path in outputs.items():
                (texts if path.endswith("!") else others).add(name)
        method = around.method_of(step)
        if method is not None:
            texts |= method.plain
            others |= method.sets - method.plain
    return frozenset(texts - others)
