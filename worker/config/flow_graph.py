"""Checks the flow graph of a runbook: every step can be reached, every loop can end, and every variable has a source."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from worker.config.automation import Method, Runbook, Step
from worker.config.config_node import ConfigNode
from worker.config.graph import Edges, reachable_from, shortest_cycle
from worker.config.run_templates import names_in
from worker.config.run_values import RunTemplate
from worker.core.suggest import choices

USED = ("path", "query", "body", "reason", "find", "set", "publish", "input", "for_each")


def check_flow_graph(runbook: Runbook, node: ConfigNode) -> None:
    """Check the graph. `node`: the runbook's; every step that it names exists."""
    edges = {name: targets(step) for name, step in runbook.steps.items()}
    beyond = {name: reachable_from(name, edges) for name in edges}
    reached = {runbook.first} | beyond[runbook.first]
    steps = node.child("steps")
    for name in edges:
        if name not in reached:
            steps.child(name).add_key_error(f"no step leads to `{name}`")
    looping = [name for name in edges if name in reached and name in beyond[name]]
    elements = {name: (step.each, {step.each.first} | beyond[step.each.first]) for name, step in runbook.steps.items() if step.each is not None}
    for name in [name for name, (_, inside) in elements.items() if name in inside]:
        steps.child(name).child("do").add_error(f"an element of `{name}` leads to `{name}` again: end its steps where the element is done")
        return
    endless = check_ends(runbook, {name: next_steps(step) for name, step in runbook.steps.items()}, looping, steps)
    check_pauses(runbook, [name for name in looping if name not in endless], beyond, steps)
    for name, step in runbook.steps.items():
        before = [other for other in edges if name in beyond[other]]
        known = {*runbook.input, *(variable for other in before for variable in outputs(runbook.steps[other]))}
        known |= {each.item for each, inside in elements.values() if name in inside}
        check_variables(step, known, steps.child(name))
        if step.each is not None:
            inside = {variable for other in elements[name][1] for variable in outputs(runbook.steps[other])}
            check_uses(steps.child(name).child("into"), known | inside | {step.each.item})


def targets(step: Step) -> list[str]:
    """Return the steps that a step may lead to, with the steps of its elements."""
    return [*next_steps(step), *([step.each.first] if step.each is not None else [])]


def next_steps(step: Step) -> list[str]:
    """Return the steps that may follow a step."""
    return [*(branch.go for branch in step.go), *([step.on_failure] if step.on_failure is not None else [])]


def may_end(step: Step) -> bool:
    """Whether a run may end at a step: it is an end or the last call, or possibly no branch holds."""
    return step.end is not None or not step.go or all(branch.when is not None for branch in step.go)


def check_ends(runbook: Runbook, edges: Edges, looping: Collection[str], steps: ConfigNode) -> Collection[str]:
    """Return the steps of loops that no branch and no `on_failure` leaves; add an error for each loop. `looping`: the steps that lead back to themselves."""
    ends = {name for name, step in runbook.steps.items() if may_end(step)}
    while grown := {name for name, others in edges.items() if name not in ends and ends.intersection(others)}:
        ends |= grown
    reported: set[str] = set()
    for name in looping:
        if name not in ends and name not in reported:
            reported |= reachable_from(name, edges)
            way = " → ".join(shortest_cycle(name, edges))
            steps.child(name).add_key_error(f"the steps {way} never end: give one of them a branch or an `on_failure` that leads out")
    return reported


def check_pauses(runbook: Runbook, looping: Collection[str], beyond: Mapping[str, Collection[str]], steps: ConfigNode) -> None:
    """Warn of a loop in which no step waits: it repeats as fast as the answers arrive."""
    reported: set[str] = set()
    for name in looping:
        loop = {other for other in looping if other in beyond[name] and name in beyond[other]}
        if name not in reported and not any(runbook.steps[other].wait is not None for other in loop):
            way = " → ".join(shortest_cycle(name, {other: targets(runbook.steps[other]) for other in runbook.steps}))
            steps.child(name).add_warning(f"the steps {way} repeat without a pause: put a step with `wait` between two rounds", key=True)
        reported |= loop


def outputs(step: Step) -> set[str]:
    """The variables that a step may set for the steps after it."""
    found = {*step.output, *(step.method.output if step.method is not None else ()), *step.sets}
    return found | ({*step.each.results, *filter(None, [step.each.failures])} if step.each is not None else set())


def method_names(method: Method) -> set[str]:
    """The variables that a method uses."""
    path = [part for part in method.path if not isinstance(part, str)]
    body: list[RunTemplate] = [] if method.body is None else [method.body]
    row: list[RunTemplate] = [] if method.row is None else [method.row]
    return {name for template in (*path, *method.query.values(), *method.headers.values(), *body, *row) for name in template.names}


def check_variables(step: Step, known: Collection[str], node: ConfigNode) -> None:
    """Check that the input or an earlier step may set every variable that a step uses."""
    for member in USED:
        check_uses(node.child(member), known)
    if step.method is not None:
        for name in sorted(method_names(step.method) - set(known)):
            rest = f"which no input and no earlier step sets{choices(name, sorted(known))}"
            node.child("method").add_error(f"{step.method.full_name} uses `<<{name}>>`, {rest}")


def check_uses(node: ConfigNode, known: Collection[str]) -> None:
    for name, place, offset in uses(node):
        if name not in known:
            place.add_error(f"no input and no earlier step sets `<<{name}>>`{choices(name, sorted(known))}", offset)


def uses(node: ConfigNode) -> Iterator[tuple[str, ConfigNode, int]]:
    """Each `<<Name>>` in a node, with its place."""
    if isinstance(node.value, str):
        yield from ((name, node, start) for name, start in names_in(node.value))
    for child in node.children.values():
        yield from uses(child)
