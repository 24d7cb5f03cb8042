"""Runbooks: flow charts of methods and Halo API actions, and what starts them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import Field

from worker.config.automation import DEFAULT_STEP_LIMIT, Runbook, Step
from worker.config.binds import Bind, compile_bind
from worker.config.callers import CallerAuthDefinition, compile_caller
from worker.config.config_node import ConfigNode
from worker.config.cron import Cron
from worker.config.definition import Compiled, Definition, build, compile_members
from worker.config.examples import Examples, compile_examples
from worker.config.flow_graph import check_flow_graph, targets
from worker.config.graph import reachable_from
from worker.config.mappings import member_name
from worker.config.names import NAME, NAME_CHARACTERS
from worker.config.node_values import request_variables
from worker.config.references import References, check_reference
from worker.config.step_parts import warn_of_cycles
from worker.config.steps import StepContext, StepDefinition, compile_step
from worker.config.value_types import BrokerName, Concurrency, Text
from worker.config.variables import VariablePath

WAYS = ("queue", "schedule", "endpoint")
Inputs = Annotated[dict[str, Text], Compiled(request_variables, jsonata="none")]


class EndpointDefinition(Definition):
    """A public address that starts the runbook."""

    auth: CallerAuthDefinition = Field(description="The authentication of the caller.")


class StartDefinition(Definition):
    """The start of a runbook, besides the webhooks that name it."""

    queue: BrokerName | None = Field(default=None, description="Each message of this queue starts a run; the worker declares it.")
    bind: list[Bind] = Field(default=[], description="Exchanges to bind the queue to.")
    schedule: Cron | None = Field(
        default=None, description="The times to start a run, in the five fields of cron, UTC; each starts one run, however many replicas there are."
    )
    endpoint: EndpointDefinition | None = Field(default=None, description="POST /runbooks/<name> starts a run.")


class RunbookDefinition(Definition):
    """A flow chart of methods and actions."""

    start: StartDefinition = Field(default=StartDefinition(), description="The queue, schedule or endpoint that starts it.")
    input: Inputs = Field(default={}, description="Variables of the starting payload, in Halo's grammar.", examples=[{"TicketId": "request^ticket^id"}])
    first: Text = Field(description="The first step of a run.")
    steps: Annotated[dict[str, StepDefinition], Field(min_length=1)] = Field(description="The steps, by name.")
    step_limit: Annotated[int, Field(ge=1, le=10_000)] = Field(default=DEFAULT_STEP_LIMIT, description="Maximum steps of a run; it stops loops.")
    concurrency: Concurrency = Field(default=4, description="Maximum steps of this runbook in flight.")
    examples: Examples = Field(default=[], description="Inputs and their expected results; `halo-worker test` runs them offline.")


def compile_runbook(definition: RunbookDefinition, node: ConfigNode, references: References) -> Runbook:
    nodes = node.child("steps")
    names = tuple(nodes.members)
    for name in names:
        if not NAME.fullmatch(name):
            nodes.child(name).add_key_error(f"`{name}` cannot be the name of a step: {NAME_CHARACTERS}")
    check_reference(definition.first, "step", names, node.child("first"))
    start, endpoint = node.child("start"), definition.start.endpoint
    if not any(way in start for way in WAYS) and node.name not in started_by_others(references):
        node.add_key_error(
            "nothing starts this runbook: give it `start.queue`, `start.schedule` or `start.endpoint`, or name it in a webhook or in a step of another runbook"
        )
    if "bind" in start and "queue" not in start:
        start.child("bind").add_key_error("`bind` needs `queue`: it binds that queue to exchanges")
    compiled = compile_members(RunbookDefinition, node)
    plain = plain_names(compiled["input"], definition, references)
    steps = {name: compile_step(StepContext(step, nodes.child(name), names, plain, references)) for name, step in definition.steps.items()}
    warn_of_cycles(node, references)
    warn_of_full_places(steps.values(), definition.concurrency, node, references)
    auth = compile_caller(endpoint.auth, start.child("endpoint").child("auth")) if endpoint else None
    called = [step.method.full_name for step in steps.values() if step.method is not None]
    called += methods_below(node, references)
    examples = compile_examples(definition.examples, node.child("examples"), called)
    runbook = build(
        Runbook,
        definition,
        compiled,
        name=node.name,
        steps=steps,
        queue=definition.start.queue,
        bind=tuple(compile_bind(bind, start.child("bind").child(index)) for index, bind in enumerate(definition.start.bind)),
        schedule=definition.start.schedule,
        endpoint=auth,
        examples=examples,
    )
    mentioned = {definition.first, *(target for step in steps.values() for target in targets(step))}
    if references.complete and mentioned <= steps.keys():
        check_flow_graph(runbook, node)
    return runbook


def warn_of_full_places(steps: Iterable[Step], concurrency: int, node: ConfigNode, references: References) -> None:
    """Warn if one customer whose API hangs could hold all places of a runbook: some must stay free for the others."""
    called = {step.method.integration for step in steps if step.method is not None}
    for integration in [references.integrations[name] for name in sorted(called) if name in references.integrations]:
        most = integration.customers.at_once if integration.customers is not None else 0
        if most >= concurrency:
            place = node.child("concurrency")
            place.add_warning(
                f"one customer of `{integration.name}` may hold all {concurrency} places of this runbook: make `concurrency` larger than its `at_once` ({most})",
                key="concurrency" not in node,
            )


def started_by_others(references: References) -> set[str]:
    """The runbooks that webhooks, or steps of other runbooks, name."""
    nodes = [node.child("runbook") for node in references.definitions if node.kind == "webhooks"]
    books = [node for node in references.definitions if node.kind == "runbooks"]
    nodes += [step.child("start") for book in books for step in book.child("steps").members.values()]
    return {node.fill(node.value) for node in nodes if isinstance(node.value, str)}


def methods_below(node: ConfigNode, references: References) -> list[str]:
    """Return the methods of the runbooks that this runbook starts, at any depth."""
    books = {each.name: each.child("steps").members.values() for each in references.definitions if each.kind == "runbooks"}
    started = {name: {step.child("start").value for step in steps} & books.keys() for name, steps in books.items()}
    below = reachable_from(node.name, started) - {node.name} if node.name in started else set()
    return [method for name in below for step in books[name] if isinstance(method := step.child("method").value, str)]


def plain_names(inputs: Mapping[str, VariablePath], definition: RunbookDefinition, references: References) -> frozenset[str]:
    """The variables whose expression ends in `!`, and those that steps compute."""
    found = {name for name, path in inputs.items() if path.plain}
    for step in definition.steps.values():
        found |= {member_name(name)[0] for values in (step.set, step.into) for name in values or ()}
        found |= {step.item} if step.for_each is not None else set()
        found |= {variable for variable, text in step.output.items() if text.rstrip().endswith("!")}
        method = references.method(step.method or "")
        found |= {variable for variable, path in method.output.items() if path.plain} if method is not None else set()
    return frozenset(found)
