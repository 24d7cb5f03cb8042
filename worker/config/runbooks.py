"""Compiles the definition of a runbook."""

from __future__ import annotations

from collections.abc import Mapping

from worker.config.auths import compile_caller
from worker.config.automation import Runbook
from worker.config.config_node import ConfigNode
from worker.config.flow_graph import check_flow_graph, targets
from worker.config.models.runbooks import RunbookDefinition
from worker.config.names import NAME
from worker.config.outputs import variables
from worker.config.parameters import members_of
from worker.config.references import References, check_reference
from worker.config.steps import Draft, compile_step
from worker.config.variables import VariablePath
from worker.core.errors import Problem


def compile_runbook(name: str, definition: RunbookDefinition, node: ConfigNode, references: References, problems: list[Problem], *, whole: bool) -> Runbook:
    """`whole`: nothing had to be left out of the definition, so that its flow chart can be judged."""
    places = node.child("steps")
    names = tuple(members_of(places))
    rule = "letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
    wrong = [step for step in names if not NAME.fullmatch(step)]
    problems.extend(places.child(step).key_problem(f"`{step}` cannot be the name of a step: {rule}") for step in wrong)
    check_reference(definition.first, "step", names, node.child("first"), problems)
    start = definition.start
    endpoint = node.child("start").child("endpoint").child("auth")
    written = node.child("start")
    if not any(written.exists and way in written for way in ("queue", "endpoint")) and name not in started_by_webhooks(references):
        problems.append(node.key_problem("nothing starts this runbook: give it `start.queue` or `start.endpoint`, or name it in a webhook"))
    inputs = variables(node.child("input"), problems, root="request")
    plain = plain_names(inputs, definition, references)
    steps = {step: compile_step(Draft(step, found, places.child(step), names, plain, references, problems)) for step, found in definition.steps.items()}
    runbook = Runbook(
        name=name,
        first=definition.first,
        steps=steps,
        input=inputs,
        queue=start.queue,
        endpoint=compile_caller(start.endpoint.auth, endpoint, problems) if start.endpoint else None,
        step_limit=definition.step_limit,
        concurrency=definition.concurrency,
    )
    mentioned = {definition.first, *(target for step in steps.values() for target in targets(step))}
    if whole and mentioned <= steps.keys():
        check_flow_graph(runbook, node, problems)
    return runbook


def started_by_webhooks(references: References) -> set[str]:
    """The runbooks that webhooks name."""
    nodes = [node.child("runbook") for node in references.definitions if node.path[0] == "webhooks"]
    return {node.fill(node.value) for node in nodes if node.exists and isinstance(node.value, str)}


def plain_names(inputs: Mapping[str, VariablePath], definition: RunbookDefinition, references: References) -> frozenset[str]:
    """The variables whose expression ends in `!`."""
    found = {name for name, path in inputs.items() if path.plain}
    for step in definition.steps.values():
        found |= {name for name, text in step.output.items() if text.rstrip().endswith("!")}
        method = references.method(step.method or "")
        found |= {name for name, path in method.output.items() if path.plain} if method is not None else set()
    return frozenset(found)
