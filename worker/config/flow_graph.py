"""Checks the flow chart of a runbook: what can be reached, what can end, and where each variable comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from worker.config.automation import Method, Runbook, RunTemplate, Step
from worker.config.config_node import ConfigNode
from worker.config.run_templates import names_in
from worker.core.errors import Problem
from worker.core.suggest import choices

USED = ("path", "query", "body", "reason", "find")
Edges = Mapping[str, Collection[str]]


def check_flow_graph(runbook: Runbook, node: ConfigNode, problems: list[Problem]) -> None:
    """`node` is the runbook's; every step that it names must be there."""
    edges = {name: targets(step) for name, step in runbook.steps.items()}
    beyond = {name: after(name, edges) for name in edges}
    reached = {runbook.first} | beyond[runbook.first]
    places = node.child("steps")
    problems.extend(places.child(name).key_problem(f"no way leads to the step `{name}`") for name in edges if name not in reached)
    check_ends(runbook, edges, [name for name in edges if name in reached and name in beyond[name]], places, problems)
    for name, step in runbook.steps.items():
        before = [other for other in edges if name in beyond[other]]
        known = {*runbook.input, *(variable for other in before for variable in outputs(runbook.steps[other]))}
        check_variables(step, known, places.child(name), problems)


def targets(step: Step) -> list[str]:
    """Where a step may lead."""
    return [*(branch.go for branch in step.go), *([step.on_failure] if step.on_failure is not None else [])]


def after(start: str, edges: Edges) -> set[str]:
    """The steps that can come after one, itself among them when it is in a loop."""
    found: set[str] = set()
    waiting = list(edges[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += edges[name]
    return found


def may_end(step: Step) -> bool:
    """Whether a run may end at a step by itself: at an end, after the last call, or where no branch may hold."""
    return step.end is not None or not step.go or all(branch.when is not None for branch in step.go)


def check_ends(runbook: Runbook, edges: Edges, looping: Collection[str], places: ConfigNode, problems: list[Problem]) -> None:
    """A loop that no branch and no `on_failure` leaves goes on for ever; `looping` are the steps that can come back to themselves."""
    ends = {name for name, step in runbook.steps.items() if may_end(step)}
    while grown := {name for name, others in edges.items() if name not in ends and ends.intersection(others)}:
        ends |= grown
    told: set[str] = set()
    for name in looping:
        if name not in ends and name not in told:
            told |= after(name, edges)
            way = " → ".join(round_trip(name, edges))
            problems.append(places.child(name).key_problem(f"the steps {way} go round for ever: give one of them a branch or an `on_failure` that leads out"))


def round_trip(name: str, edges: Edges) -> list[str]:
    """The shortest way from a step back to itself."""
    ways = [[name]]
    seen: set[str] = set()
    for way in ways:
        for target in edges[way[-1]]:
            if target == name:
                return [*way, name]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return [name]


def outputs(step: Step) -> set[str]:
    """The variables that a step may set."""
    return {*step.output, *(step.method.output if step.method is not None else ())}


def method_names(method: Method) -> set[str]:
    """The variables that a method uses."""
    path = [part for part in method.path if not isinstance(part, str)]
    body: list[RunTemplate] = [] if method.body is None else [method.body]
    return {name for run_template in (*path, *method.query.values(), *method.headers.values(), *body) for name in run_template.names}


def check_variables(step: Step, known: Collection[str], node: ConfigNode, problems: list[Problem]) -> None:
    """Every variable that a step uses may have been set before it."""
    for name, place, offset in [use for member in USED if member in node for use in uses(node.child(member))]:
        if name not in known:
            problems.append(place.problem(f"no input and no earlier step sets `<<{name}>>`{choices(name, sorted(known))}", offset))
    if step.method is not None:
        for name in sorted(method_names(step.method) - set(known)):
            said = f"{step.method.full_name} uses `<<{name}>>`, which no input and no earlier step sets{choices(name, sorted(known))}"
            problems.append(node.child("method").problem(said))


def uses(node: ConfigNode) -> Iterator[tuple[str, ConfigNode, int]]:
    """Each `<<Name>>` below a node, with its place."""
    value: Any = node.value
    if isinstance(value, str):
        yield from ((name, node, start) for name, start in names_in(value))
    elif isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from uses(node.child(key))
