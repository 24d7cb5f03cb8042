"""Steps of a runbook: each calls a method, does an action, ends the run, or is a condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from worker.catalogue.actions import Action, UnknownAction, find_action
from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.config.automation import Branch, Method, RunTemplate, Step
from worker.config.compiled import Find
from worker.config.config_node import ConfigNode
from worker.config.definition import Compiled, Definition, build, compile_members, mistake
from worker.config.lookups import FindDefinition, compile_find
from worker.config.node_values import condition, optional_run_template, run_template
from worker.config.parameters import Checks, missing_path, named, path_nodes, query_nodes
from worker.config.references import References, check_reference
from worker.config.required import compile_required
from worker.config.run_templates import BoundRunTemplate
from worker.config.template_lexer import Unclosed, whole
from worker.config.value_types import Body, CallTimeout, ConditionText, Missing, Outputs, Parameters, RequiredNames, Retry, Text, Unknown
from worker.core.suggest import did_you_mean

STEP_KINDS = ("method", "action", "end")
CALLS = ("next", "on_failure", "retry", "in_doubt", "timeout", "output")
MEMBERS = {
    "method": ("method", *CALLS),
    "action": ("action", "client", "path", "query", "body", "missing", "required", "find", "allow_unknown", *CALLS),
    "end": ("end", "reason"),
    "condition": ("next",),
}
DOES = {"method": "calls a method", "action": "does an action", "end": "ends the run", "condition": "is a condition"}
NO_BODY = ("GET", "DELETE")
RunText = Annotated[Text, Compiled(optional_run_template)]


class BranchDefinition(Definition):
    """One branch."""

    when: ConditionText | None = Field(default=None, description="JSONata over the variables, `status`, `response` and `request`; default: always true.")
    go: Text = Field(description="The step to go to.")


def branches(value: Any) -> Any:
    """The name of a step alone is one branch that is always taken."""
    if isinstance(value, str):
        return [{"go": value}]
    if not isinstance(value, list):
        raise mistake("must be the name of a step, or a list of branches ({when: …, go: …})")
    return value


BRANCH = {
    "type": "object",
    "properties": {
        "when": {"type": "string", "description": "JSONata over the variables, `status`, `response` and `request`.", "examples": ["{{ status = 200 }}"]},
        "go": {"type": "string", "description": "The step to go to.", "examples": ["give_up"]},
    },
    "required": ["go"],
    "additionalProperties": False,
}
Next = Annotated[
    list[BranchDefinition],
    BeforeValidator(branches),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": BRANCH}]}),
]


class StepDefinition(Definition):
    """One step of the flow chart: a `method`, an `action`, an `end`, or with `next` alone a condition."""

    method: Text | None = Field(default=None, description="A method to call, as integration.method.", examples=["openai.completions"])
    action: Text | None = Field(default=None, description="A Halo API action; `halo-worker actions` shows them.", examples=["create_action"])
    client: Text | None = Field(default=None, description="The client that does the action.")
    path: Parameters = Field(default={}, description="Values for the {parameters} of the action's path.")
    query: Parameters = Field(default={}, description="Query parameters of the action.")
    body: Body = Field(default=None, description="The body of the action; it may hold <<Name>> and {{ JSONata }}.")
    missing: Missing = "fail"
    required: RequiredNames = Field(default=[])
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
        method=find_method(definition.method, context) if definition.method is not None else None,
        action=action,
        operation=checks.operation if checks is not None else None,
        path=path,
        query=query,
        go=compile_branches(context),
        find=compile_step_find(context, checks) if checks is not None else None,
    )


def kind_of(node: ConfigNode) -> str | None:
    """The kind of the step; None after an error."""
    found = [kind for kind in STEP_KINDS if kind in node]
    if len(found) > 1:
        node.child(found[1]).add_key_error(f"`{found[0]}` and `{found[1]}` are both given: write one of them")
        return None
    if not found and "next" not in node:
        node.add_key_error("a step needs `method`, `action` or `end`, or `next` alone (a condition)")
        return None
    return found[0] if found else "condition"


def check_members(context: StepContext, kind: str) -> None:
    """Members that mean nothing for this kind of step."""
    node = context.node
    for name in type(context.definition).model_fields:
        if name in node and name not in MEMBERS[kind]:
            owners = " or ".join(f"`{owner}`" for owner, members in MEMBERS.items() if name in members and owner != "condition")
            node.child(name).add_key_error(f"`{name}` is for steps with {owners}; this one {DOES[kind]}")
    if context.definition.end == "done" and "reason" in node:
        node.child("reason").add_key_error("`reason` is for `end: failed`")


def check_action_output(node: ConfigNode) -> None:
    """An action of Halo has a status and a response; headers and cookies are of the answers to methods."""
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


def action_checks(action: Action, context: StepContext) -> Checks | None:
    """The operation that checks the action's parameters, None where the client's API lacks it; the body is checked here."""
    catalogue, node, body = context.references.catalogue_of(context.definition.client), context.node, context.definition.body
    try:
        operation = catalogue.find(action.entity, action.method).accepting(named(context.definition.allow_unknown))
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
    return Checks(catalogue, operation, context.definition.allow_unknown)


def compile_parameters(node: ConfigNode, checks: Checks) -> tuple[Mapping[str, RunTemplate], Mapping[str, RunTemplate]]:
    """Those of the path, and those of the query."""
    path, query = path_nodes(node.child("path"), checks), query_nodes(node.child("query"), checks)
    for name in missing_path(checks, path):
        node.add_key_error(f"{checks.operation.entity} needs `{name}` under `path`")
    return {name: run_template(member) for name, member in path.items()}, {name: run_template(member) for name, member in query.items()}


def compile_step_find(context: StepContext, checks: Checks) -> Find | None:
    """`find` as a publisher has it, but with the variables of the run."""
    definition, node = context.definition, context.node.child("find")
    if definition.find is not None and checks.operation.method != "POST":
        node.add_key_error(f"`find` is for creates: a {checks.operation.method} can be repeated without a lookup")
        return None
    if definition.find is not None and definition.in_doubt == "repeat":
        context.node.child("in_doubt").add_key_error("`in_doubt: repeat` is for steps without `find`")
    return compile_find(definition.find, checks, node, lambda member, missing: BoundRunTemplate(run_template(member, missing), context.plain))


def compile_branches(context: StepContext) -> tuple[Branch, ...]:
    found: list[Branch] = []
    node = context.node.child("next")
    for index, branch in enumerate(context.definition.next or ()):
        place = node if isinstance(node.value, str) else node.child(index)
        check_reference(branch.go, "step", context.names, place if place is node else place.child("go"))
        if found and not found[-1].label:
            place.add_error("this branch is never taken: the one before it has no `when`")
        found.append(Branch(condition(place.child("when")) if branch.when is not None else None, branch.go, label(branch.when or "")))
    return tuple(found)


def label(when: str) -> str:
    """A condition as the file has it, without its braces."""
    try:
        embedded = whole(when)
    except Unclosed:
        embedded = None
    return (embedded.text if embedded else when).strip()
