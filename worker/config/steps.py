"""Compiles the steps of a runbook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.catalogue.actions import Action, UnknownAction, find_action
from worker.config.automation import Branch, Method, RunTemplate, Step
from worker.config.compiled import Find, Template
from worker.config.config_node import ConfigNode
from worker.config.integrations import run_template
from worker.config.lookups import compile_find
from worker.config.members import condition
from worker.config.models.runbooks import StepDefinition
from worker.config.outputs import variables
from worker.config.parameters import Checks, path_nodes, query_nodes
from worker.config.references import References, check_reference
from worker.config.run_templates import BoundRunTemplate
from worker.config.template_lexer import Unclosed, whole
from worker.core.errors import Problem
from worker.core.suggest import did_you_mean

KINDS = ("method", "action", "end")
CALLS = ("next", "on_failure", "retry", "in_doubt", "timeout", "output")
MEMBERS = {
    "method": ("method", *CALLS),
    "action": ("action", "client", "path", "query", "body", "find", *CALLS),
    "end": ("end", "reason"),
    "condition": ("next",),
}
WHAT = {"method": "calls a method", "action": "does an action", "end": "ends the run", "condition": "is a condition"}
NO_BODY = ("GET", "DELETE")


@dataclass(frozen=True, slots=True)
class Draft:
    """A step while it is checked. `names`: all steps of the runbook; `plain`: variables that go into longer text without quotes."""

    name: str
    definition: StepDefinition
    node: ConfigNode
    names: tuple[str, ...]
    plain: frozenset[str]
    references: References
    problems: list[Problem]

    def run_template(self, member: str) -> RunTemplate:
        return run_template(self.node.child(member), self.problems)


def compile_step(draft: Draft) -> Step:
    definition, node = draft.definition, draft.node
    kind = kind_of(draft)
    if kind is not None:
        check_members(draft, kind)
    if definition.on_failure is not None:
        check_reference(definition.on_failure, "step", draft.names, node.child("on_failure"), draft.problems)
    action = compile_action(draft) if definition.action is not None else None
    checks = action_checks(action, draft) if action is not None else None
    path, query = parameters(draft, checks) if checks is not None else ({}, {})
    return Step(
        name=draft.name,
        method=compile_method_of(draft) if definition.method is not None else None,
        action=action,
        client=definition.client,
        path=path,
        query=query,
        body=draft.run_template("body") if definition.body is not None else None,
        output=variables(node.child("output"), draft.problems),
        go=compile_branches(draft),
        on_failure=definition.on_failure,
        end=definition.end,
        reason=draft.run_template("reason") if definition.reason is not None else None,
        in_doubt=definition.in_doubt,
        find=compile_look(draft, checks) if checks is not None else None,
        timeout=definition.timeout,
        retry=tuple(definition.retry),
    )


def kind_of(draft: Draft) -> str | None:
    """What the step is; None after a problem."""
    found = [kind for kind in KINDS if kind in draft.node]
    if len(found) > 1:
        draft.problems.append(draft.node.child(found[1]).key_problem(f"`{found[0]}` and `{found[1]}` are both given: a step is one thing"))
        return None
    if not found and "next" not in draft.node:
        draft.problems.append(draft.node.key_problem("a step needs `method`, `action` or `end`, or `next` alone (a condition)"))
        return None
    return found[0] if found else "condition"


def check_members(draft: Draft, kind: str) -> None:
    """Members that mean nothing for this kind of step."""
    for name in type(draft.definition).model_fields:
        if name in draft.node and name not in MEMBERS[kind]:
            owners = " or ".join(f"`{owner}`" for owner, members in MEMBERS.items() if name in members and owner != "condition")
            draft.problems.append(draft.node.child(name).key_problem(f"`{name}` is for steps with {owners}; this one {WHAT[kind]}"))
    if draft.definition.end == "done" and "reason" in draft.node:
        draft.problems.append(draft.node.child("reason").key_problem("`reason` is for `end: failed`"))


def compile_method_of(draft: Draft) -> Method | None:
    name = str(draft.definition.method)
    node = draft.node.child("method")
    valid = draft.references.methods()
    if "." not in name:
        near = did_you_mean(name, valid) or "; write integration.method"
        draft.problems.append(node.problem(f"`{name}` names no method of an integration{near}"))
        return None
    check_reference(name, "method", valid, node, draft.problems)
    return draft.references.method(name)


def compile_action(draft: Draft) -> Action | None:
    node = draft.node
    if draft.definition.client is not None:
        check_reference(draft.definition.client, "client", draft.references.names("clients"), node.child("client"), draft.problems)
    elif "client" not in node:
        draft.problems.append(node.key_problem("`client` is missing: an action is done on a client"))
    try:
        return find_action(str(draft.definition.action))
    except UnknownAction as error:
        draft.problems.append(node.child("action").problem(str(error)))
        return None


def action_checks(action: Action, draft: Draft) -> Checks:
    """What the action's parameters are checked against; its body is checked here."""
    operation = draft.references.catalogue.find(action.entity, action.method)
    node, body = draft.node, draft.definition.body
    if operation.method in NO_BODY:
        if body is not None:
            draft.problems.append(node.child("body").key_problem(f"{action.name} sends nothing: leave `body` out"))
    elif "body" not in node:
        draft.problems.append(node.key_problem(f"`body` is missing: `halo-worker actions {action.name}` shows what it is made of"))
    elif isinstance(body, dict):
        draft.problems.extend(node.child("body").key_problem(f"{action.name} needs {need}") for need in action.missing(body))
    elif body is not None and not isinstance(body, str):
        draft.problems.append(node.child("body").problem("`body` must be a mapping (names and values)"))
    return Checks(draft.references.catalogue, operation)


def parameters(draft: Draft, checks: Checks) -> tuple[dict[str, RunTemplate], dict[str, RunTemplate]]:
    """Those of the path, and those of the query."""
    path = path_nodes(draft.node.child("path"), checks, draft.problems)
    query = query_nodes(draft.node.child("query"), checks, draft.problems)
    missing = [name for name in checks.operation.path_parameters if name not in path]
    draft.problems.extend(draft.node.key_problem(f"{checks.operation.entity} needs `{name}` under `path`") for name in missing)
    return made(path, draft), made(query, draft)


def made(places: Mapping[str, ConfigNode], draft: Draft) -> dict[str, RunTemplate]:
    return {name: run_template(place, draft.problems) for name, place in places.items()}


def compile_look(draft: Draft, checks: Checks) -> Find | None:
    """`find` with variables in it, as everything of a run."""
    definition, node = draft.definition, draft.node.child("find")
    if definition.find is not None and checks.operation.method != "POST":
        draft.problems.append(node.key_problem(f"`find` is for creates: a {checks.operation.method} can be repeated without looking"))
        return None
    if definition.find is not None and definition.in_doubt == "repeat":
        draft.problems.append(draft.node.child("in_doubt").key_problem("`in_doubt: repeat` is for steps that cannot look; this one has `find`"))

    def make(place: ConfigNode, problems: list[Problem]) -> Template:
        return BoundRunTemplate(run_template(place, problems), draft.plain)

    return compile_find(definition.find, checks, node, draft.problems, make)


def compile_branches(draft: Draft) -> tuple[Branch, ...]:
    found: list[Branch] = []
    node = draft.node.child("next")
    for index, branch in enumerate(draft.definition.next or ()):
        place = node if isinstance(node.value, str) else node.child(index)
        check_reference(branch.go, "step", draft.names, place if place is node else place.child("go"), draft.problems)
        if found and not found[-1].label:
            draft.problems.append(place.problem("this branch is never taken: the one before it has no `when`"))
        when = condition(place.child("when"), draft.problems) if branch.when is not None else None
        found.append(Branch(when, branch.go, label(branch.when or "")))
    return tuple(found)


def label(when: str) -> str:
    """A condition as it was written, without its braces."""
    try:
        embedded = whole(when)
    except Unclosed:
        embedded = None
    return (embedded.text if embedded else when).strip()
