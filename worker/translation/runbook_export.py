"""Translates a runbook of a route file to Halo's document: numbers and members of an imported document stay, changed parts are written again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.translation.copies import Copy
from worker.translation.export_graph import ExportGraph, read_graph
from worker.translation.halo_steps import read_steps
from worker.translation.inputs import write_input
from worker.translation.iterations import find_iterations
from worker.translation.known_methods import ImportContext
from worker.translation.report import TranslationReport, Untranslatable
from worker.translation.run_starts import document_start
from worker.translation.runbook_import import ImportedRunbook, import_runbook
from worker.translation.secrets import with_references
from worker.translation.steps_export import StepExport

NEW = {"type": 1, "active": True, "group_id": -1}


@dataclass(frozen=True, slots=True)
class ExportContext:
    """The facts about other definitions that an export needs. `around`: for translating copies again; `numbers`: of methods, by integration.method.

    `guids`: of runbooks by name. `plain`: variables that methods set to texts.
    """

    around: ImportContext = field(default_factory=ImportContext)
    numbers: Mapping[str, int] = field(default_factory=dict)
    guids: Mapping[str, str] = field(default_factory=dict)
    plain: frozenset[str] = frozenset()


def export_runbook(name: str, definition: Mapping[str, Any], copy: Copy | None, elsewhere: ExportContext, report: TranslationReport) -> dict[str, Any] | None:
    """Return the document; None after refusals, which the report lists. `definition`: as in the route file, with `${NAME}` for secrets."""
    before = import_runbook(copy.document, name, elsewhere.around, TranslationReport("runbook", name)) if copy is not None else None
    if copy is not None and before is not None and with_references(before.definition) == definition:
        return dict(with_references(copy.document))
    base: dict[str, Any] = {"name": name} | NEW | (dict(with_references(copy.document)) if copy is not None else {})
    try:
        graph = read_graph(definition, *known_numbers(copy, before))
    except Untranslatable as error:
        report.refuse(name, str(error))
        return None
    steps = export_steps(definition, graph, elsewhere, report)
    if not report.is_complete:
        return None
    same = same_steps(definition, before)
    made = merged_steps(steps, base.get("steps") or [], {graph.numbers[step] for step in same if step in graph.numbers})
    start = {} if before is not None and with_references(before.definition)["start"] == definition["start"] else document_start(definition["start"])
    return base | start | {"input_variables": input_rows(definition, graph, base.get("input_variables") or [], report), "steps": made}


def known_numbers(copy: Copy | None, before: ImportedRunbook | None) -> tuple[dict[str, int], dict[str, int]]:
    """Return the numbers of the steps, and of the ends of iterations by the name of their first step."""
    if copy is None or before is None:
        return {}, {}
    names = {name: number for number, name in before.steps.items()}
    steps = read_steps(copy.document, TranslationReport("runbook", ""))
    iterations = find_iterations(steps) if steps is not None else {}
    ends = {before.steps[begin]: iteration.end for begin, iteration in iterations.items()}
    for begin, iteration in iterations.items():  # if an empty list goes another way, the iteration has a separate step here
        own = f"{before.steps[begin]}-elements"
        if own in before.added:
            ends[own] = iteration.end
    return names, ends


def export_steps(definition: Mapping[str, Any], graph: ExportGraph, elsewhere: ExportContext, report: TranslationReport) -> list[dict[str, Any]]:
    plain = plain_names(definition, elsewhere.plain)
    export = StepExport(graph, definition["steps"], elsewhere.numbers, elsewhere.guids, plain, report)
    found: list[dict[str, Any]] = []
    for name in graph.numbers:
        try:
            found += export.export(name)
        except Untranslatable as error:
            report.refuse(name, str(error))
    return found


def plain_names(definition: Mapping[str, Any], others: Collection[str]) -> frozenset[str]:
    paths = dict(definition.get("input") or {})
    for step in definition["steps"].values():
        paths |= step.get("output") or {}
    texts = {name for name, path in paths.items() if str(path).endswith("!")}
    texts |= {name.removesuffix("?") for step in definition["steps"].values() for name, value in (step.get("set") or {}).items() if isinstance(value, str)}
    return frozenset(texts | set(others))


def same_steps(definition: Mapping[str, Any], before: ImportedRunbook | None) -> set[str]:
    if before is None:
        return set()
    old = with_references(before.definition)["steps"]
    return {name for name, step in definition["steps"].items() if old.get(name) == step}


def merged_steps(made: list[dict[str, Any]], old: Any, same: Collection[int]) -> list[dict[str, Any]]:
    """Return the steps in the order of the old document.

    An unchanged step keeps all of its members, but its ways are new if it leads elsewhere now. A changed step keeps the members without a meaning here.
    """
    known = {step.get("step_id"): step for step in old if isinstance(step, Mapping)}
    found: list[dict[str, Any]] = []
    for step in made:
        present = known.get(step["step_id"])
        if present is None:
            found.append(step)
            continue
        ways = {} if leads_to(present) == leads_to(step) else {"actions": step["actions"]}
        kept = {member: present[member] for member in ("name",) if member in present}
        end_of_iteration = step.get("auto_action") == 13  # noqa: PLR2004  the number of the step that ends an iteration
        found.append(
            dict(present) | ways
            if step["step_id"] in same or end_of_iteration
            else dict(present) | step | kept | ({"actions": present["actions"]} if not ways else {})
        )
    order = {number: index for index, number in enumerate(known)}
    return sorted(found, key=lambda step: order.get(step["step_id"], len(order)))


def leads_to(step: Mapping[str, Any]) -> set[tuple[Any, Any]]:
    return {(edge.get("approval_result"), edge.get("end_step")) for edge in step.get("actions") or ()}


def input_rows(definition: Mapping[str, Any], graph: ExportGraph, old: Any, report: TranslationReport) -> list[dict[str, Any]]:
    """Return the rows of variables. An unchanged variable keeps all of its members."""
    known = {row.get("key"): row for row in old if isinstance(row, Mapping)}
    given = definition["steps"][graph.declared]["set"] if graph.declared else {}
    rows: list[dict[str, Any]] = []
    for name, value, path in [*((n, v, True) for n, v in (definition.get("input") or {}).items()), *((n, v, False) for n, v in given.items())]:
        try:
            row = write_input(name, value, path=path)
        except Untranslatable as error:
            report.refuse(name, str(error))
            continue
        present = known.get(name)
        same = present is not None and (str(present.get("value") or "").replace("<<ticket", "<<request^ticket") == row["value"])
        rows.append(dict(present) if present is not None and same else dict(present or {}) | row)
    order = {name: index for index, name in enumerate(known)}
    return sorted(rows, key=lambda row: order.get(row["key"], len(order)))
