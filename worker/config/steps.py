"""Steps of a runbook: each calls a method, does an action, publishes, starts, iterates, waits, sets variables, ends the run, or is a condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from worker.catalogue.actions import Action, UnknownAction, find_action
from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.config.automation import Method, Step
from worker.config.branches import Next, compile_branches
from worker.config.compiled import Find
from worker.config.config_node import ConfigNode
from worker.config.control_steps import SubRunbook
from worker.config.definition import Compiled, Definition, build, compile_members
from worker.config.lookups import FindDefinition, compile_find
from worker.config.node_values import optional_run_template, run_template
from worker.config.parameters import ParameterRules, allowed_names, missing_path, path_nodes, query_nodes
from worker.config.references import References, check_reference
from worker.config.required import compile_required
from worker.config.run_templates import BoundRunTemplate
from worker.config.run_values import RunTemplate
from worker.config.step_parts import (
    MAX_PARALLEL,
    Items,
    PublicationDefinition,
    RunValues,
    Wait,
    compile_each,
    compile_publication,
    compile_set,
    compile_start,
)
from worker.config.value_types import Body, CallTimeout, Missing, Outputs, Parameters, RequiredNames, Retry, Text, Unknown
from worker.core.suggest import did_you_mean

CALLS = ("next", "on_failure", "retry", "in_doubt", "timeout", "output")
MEMBERS = {
    "method": ("method", *CALLS),
    "action": ("action", "client", "path", "query", "body", "missing", "required", "find", "allow_unknown", *CALLS),
    "set": ("set", "missing", "next"),
    "wait": ("wait", "next"),
    "publish": ("publish", "missing", "next", "on_failure", "retry"),
    "start": ("start", "input", "wait", "missing", "output", "next", "on_failure"),
    "for_each": ("for_each", "as", "do", "parallel", "into", "failures", "missing", "next", "on_failure"),
    "end": ("end", "reason"),
    "condition": ("next",),
}
STEP_KINDS = tuple(kind for kind in MEMBERS if kind != "condition")
DOES = {
    "method": "calls a method",
    "action": "does an action",
    "set": "sets variables",
    "wait": "waits",
    "publish": "publishes a message",
    "start": "starts another runbook",
    "for_each": "iterates",
    "end": "ends the run",
    "condition": "is a condition",
}
NO_BODY = ("GET", "DELETE")
RunText = Annotated[Text, Compiled(optional_run_template)]


class StepDefinition(Definition):
    """One step of the flow chart: one of `method`, `action`, `set`, `wait`, `publish`, `start`, `for_each` and `end`, or with `next` alone a condition."""

    method: Text | None = Field(default=None, description="A method to call, as integration.method.", examples=["openai.completions"])
    action: Text | None = Field(default=None, description="A Halo API action; `halo-worker actions` shows them.", examples=["create_action"])
    client: Text | None = Field(default=None, description="The client that does the action.")
    path: Parameters = Field(default={}, description="Values for the {parameters} of the action's path.")
    query: Parameters = Field(default={}, description="Query parameters of the action.")
    body: Body = Field(default=None, description="The body of the action; it may hold <<Name>> and {{ JSONata }}.")
    missing: Missing = "fail"
    required: RequiredNames = Field(default=[])
    set: RunValues | None = Field(
        default=None,
        description="Variables and their values, with <<Name>> and {{ JSONata }}; each sees the variables as they were before the step.",
        examples=[{"Sum": "{{ $sum(response.items.price) }}"}],
    )
    wait: Wait | None = Field(default=None, description="A duration: the run waits this long, in a queue. With `start`: true waits for the end of that run.")
    publish: PublicationDefinition | None = Field(default=None, description="A message to publish.")
    start: Text | None = Field(default=None, description="Another runbook to start.", examples=["onboarding"])
    input: RunValues | None = Field(default=None, description="Variables of the runbook that `start` names.", examples=[{"TicketId": "<<TicketId>>"}])
    for_each: Items = Field(
        default=None, description="A list: each element is a run of its own of the steps from `do` on.", examples=["{{ response.items }}", "<<Items>>"]
    )
    item: Text = Field(default="Item", alias="as", description="The variable that holds the element.", examples=["Order"])
    do: Text | None = Field(default=None, description="The first step of each element; its steps end where a step has no `next`, or at an `end`.")
    parallel: Annotated[int, Field(ge=1, le=MAX_PARALLEL)] = Field(default=1, description="Maximum elements under way at once; 1 keeps their order.")
    into: RunValues | None = Field(
        default=None,
        description="Variables that collect a value of each element, in the order of the list; the values see the element's variables at its end.",
        examples=[{"Bookings": "{{ response.id }}"}],
    )
    failures: Text | None = Field(
        default=None,
        description="The variable that collects failed elements, and the iteration goes on. Default: the first failed element fails the step.",
        examples=["Failed"],
    )
    output: Outputs = Field(default={}, description="Variables of the response, in Halo's grammar; those of the method are set too.")
    next: Next | None = Field(
        default=None,
        description="The next step, or branches: the run takes the first that is true, and fails if none is. Default: the run is done.",
    )
    on_failure: Text | None = Field(default=None, description="The next step after a refused call or the last retry; default: the run fails.")
    end: Literal["done", "failed"] | None = Field(default=None, description="Ends the run.")
    reason: RunText | None = Field(default=None, description="The reason, for `end: failed`; it may hold <<Name>> and {{ JSONata }}.")
    retry: Retry = Field(default=[10.0, 60.0, 600.0])
    in_doubt: Literal["park", "repeat"] = Field(default="park", description="The action for a call of unknown result that cannot be looked up.")
    find: FindDefinition | None = Field(default=None, description="Look before create, for actions.")
    allow_unknown: Unknown = False
    timeout: CallTimeout | None = Field(default=None, description="Maximum duration of the call, at most 10m; default: that of its method or client.")


@dataclass(frozen=True, slots=True)
class StepContext:
    """A step while it is compiled. `names`: all steps of the runbook; `plain`: variables that go into longer text without quotes."""

    definition: StepDefinition
    node: ConfigNode
    names: tuple[str, ...]
    plain: frozenset[str]
    references: References


def compile_step(context: StepContext) -> Step:
    definition, node = context.definition, context.node
    kind = kind_of(node)
    if kind is not None:
        check_members(context, kind)
    if definition.on_failure is not None:
        check_reference(definition.on_failure, "step", context.names, node.child("on_failure"))
    action = compile_action(context) if definition.action is not None else None
    if definition.action is not None:
        check_action_output(node.child("output"))
    checks = action_checks(action, context) if action is not None else None
    path, query = compile_parameters(node, checks) if checks is not None else ({}, {})
    return build(
        Step,
        definition,
        compile_members(StepDefinition, node) | {"required": compile_required(node.child("required"), node.child("body"))},
        body=optional_run_template(node.child("body"), definition.missing),
        name=node.name,
        set=optional_run_template(node.child("set"), definition.missing) if definition.set is not None else None,
        sets=compile_set(node.child("set")) if definition.set is not None else (),
        wait=definition.wait if kind == "wait" and not isinstance(definition.wait, bool) else None,
        publish=compile_publication(definition.publish, node.child("publish"), definition.missing) if definition.publish is not None else None,
        start=compile_sub_runbook(context) if definition.start is not None else None,
        each=compile_each(members_of(definition), node, context.names, definition.missing) if "for_each" in node else None,
        method=find_method(definition.method, context) if definition.method is not None else None,
        action=action,
        operation=checks.operation if checks is not None else None,
        path=path,
        query=query,
        go=compile_branches(definition.next or (), node.child("next"), context.names),
        find=compile_step_find(context, checks) if checks is not None else None,
    )


def kind_of(node: ConfigNode) -> str | None:
    """The kind of the step; None after an error."""
    found = [kind for kind in STEP_KINDS if kind in node]
    if set(found) == {"start", "wait"}:
        return "start"
    if len(found) > 1:
        node.child(found[1]).add_key_error(f"`{found[0]}` and `{found[1]}` are both given: write one of them")
        return None
    if not found and "next" not in node:
        node.add_key_error(f"a step needs {one_of(STEP_KINDS)}, or `next` alone (a condition)")
        return None
    return found[0] if found else "condition"


def one_of(names: Sequence[str]) -> str:
    """The names as a choice, for a sentence."""
    *most, last = [f"`{name}`" for name in names]
    return f"{', '.join(most)} or {last}" if most else last


def check_members(context: StepContext, kind: str) -> None:
    """Add errors for members without a meaning for this kind of step."""
    node, definition = context.node, context.definition
    for name, field in type(definition).model_fields.items():
        key = field.alias or name
        if key in node and key not in MEMBERS[kind]:
            owners = [owner for owner, members in MEMBERS.items() if key in members and owner != "condition"]
            node.child(key).add_key_error(f"`{key}` is for steps with {one_of(owners)}; this one {DOES[kind]}")
    if definition.end == "done" and "reason" in node:
        node.child("reason").add_key_error("`reason` is for `end: failed`")
    if kind == "wait" and isinstance(definition.wait, bool):
        node.child("wait").add_error("`wait` must be a duration such as 30s, 5m, 2h or 1d; true is for steps with `start`")


def compile_sub_runbook(context: StepContext) -> SubRunbook:
    definition, node = context.definition, context.node
    waits = definition.wait is True
    if isinstance(definition.wait, float):
        node.child("wait").add_error("`wait` must be true or false in a step with `start`; a duration is a step of its own")
    for name in ("output", "on_failure"):
        if name in node and not waits:
            node.child(name).add_key_error(f"`{name}` needs `wait: true`: without it the run does not know how the other one ends")
    return compile_start(str(definition.start), node, context.references, definition.missing, waits=waits)


def members_of(definition: Definition) -> dict[str, Any]:
    return {name: getattr(definition, name) for name in type(definition).model_fields}


def check_action_output(node: ConfigNode) -> None:
    """Refuse headers and cookies for an action of Halo: it has only a status and a response. Answers to methods have both."""
    for member in node.members.values():
        if isinstance(member.value, str) and member.value.strip().startswith(("headers^", "cookies^")):
            member.add_error("headers and cookies are there for methods only: the expression must begin with `response`, `request` or `status`")


def find_method(name: str, context: StepContext) -> Method | None:
    node, valid = context.node.child("method"), context.references.methods()
    if "." not in name:
        node.add_error(f"`{name}` names no method of an integration{did_you_mean(name, valid) or '; write integration.method'}")
        return None
    check_reference(name, "method", valid, node)
    return context.references.method(name)


def compile_action(context: StepContext) -> Action | None:
    definition, node = context.definition, context.node
    if definition.client is not None:
        check_reference(definition.client, "client", context.references.names("clients"), node.child("client"))
    elif "client" not in node:
        node.add_key_error("`client` is missing: an action is done on a client")
    try:
        return find_action(str(definition.action))
    except UnknownAction as error:
        node.child("action").add_error(str(error))
        return None


def action_checks(action: Action, context: StepContext) -> ParameterRules | None:
    """Return the checks of the action's parameters; None if the client's API lacks the operation. The body is checked here."""
    catalogue, node, body = context.references.catalogue_of(context.definition.client), context.node, context.definition.body
    try:
        operation = catalogue.find(action.entity, action.method).accepting(allowed_names(context.definition.allow_unknown))
    except (UnknownEntity, MethodNotAllowed) as error:
        node.child("action").add_error(f"the client's API lacks {action.name}: {error}")
        return None
    if operation.method in NO_BODY:
        if body is not None:
            node.child("body").add_key_error(f"{action.name} sends nothing: leave `body` out")
    elif "body" not in node:
        node.add_key_error(f"`body` is missing: `halo-worker actions {action.name}` shows its members")
    elif isinstance(body, dict):
        for need in action.missing(body):
            node.child("body").add_key_error(f"{action.name} needs {need}")
    elif body is not None and not isinstance(body, str):
        node.child("body").add_error("`body` must be a mapping (names and values)")
    return ParameterRules(catalogue, operation, context.definition.allow_unknown)


def compile_parameters(node: ConfigNode, checks: ParameterRules) -> tuple[Mapping[str, RunTemplate], Mapping[str, RunTemplate]]:
    """Compile the parameters of the path and of the query."""
    path, query = path_nodes(node.child("path"), checks), query_nodes(node.child("query"), checks)
    for name in missing_path(checks, path):
        node.add_key_error(f"{checks.operation.entity} needs `{name}` under `path`")
    return {name: run_template(member) for name, member in path.items()}, {name: run_template(member) for name, member in query.items()}


def compile_step_find(context: StepContext, checks: ParameterRules) -> Find | None:
    """Compile `find` like that of a publisher, but with the variables of the run."""
    definition, node = context.definition, context.node.child("find")
    if definition.find is not None and checks.operation.method != "POST":
        node.add_key_error(f"`find` is for creates: a {checks.operation.method} can be repeated without a lookup")
        return None
    if definition.find is not None and definition.in_doubt == "repeat":
        context.node.child("in_doubt").add_key_error("`in_doubt: repeat` is for steps without `find`")
    return compile_find(definition.find, checks, node, lambda member, missing: BoundRunTemplate(run_template(member, missing), context.plain))
