"""The members of steps that call no API: `set`, `wait`, `publish`, `start` and `for_each`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from worker.config.config_node import ConfigNode
from worker.config.control_steps import MAX_STARTS, ForEach, Publication, SubRunbook
from worker.config.definition import Compiled, Definition, mistake
from worker.config.graph import reachable_from, shortest_cycle
from worker.config.mappings import MissingRule, member_name
from worker.config.node_values import no_variable, optional_run_template, run_template
from worker.config.references import References, check_reference
from worker.config.run_templates import is_single_value
from worker.config.template_lexer import OPEN
from worker.config.value_types import DURATION, Body, exchange_name, positive_seconds
from worker.core.header_fields import is_reserved
from worker.core.suggest import choices

OWN_EXCHANGES = "halo."
MAX_HEADER = 255  # bytes of AMQP's short string
MAX_PARALLEL = 50


def wait(value: Any) -> Any:
    """Return a duration, or whether a step waits for the runbook that it starts."""
    return value if isinstance(value, bool) else positive_seconds(value)


def step_exchange(value: Any) -> Any:
    """Return an exchange of other systems: names that begin with `halo.` are the worker's."""
    if isinstance(value, str) and value.startswith(OWN_EXCHANGES):
        raise mistake(f"begins with `{OWN_EXCHANGES}`, which is for the worker's own queues")
    return exchange_name(value)


Wait = Annotated[
    bool | float,
    BeforeValidator(wait),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": DURATION}, {"type": "boolean"}], "examples": ["10m", True]}),
]
StepExchange = Annotated[str, BeforeValidator(step_exchange), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 255})]
RunValues = Annotated[dict[str, Any], WithJsonSchema({"type": "object"}), Compiled()]
RunValue = Annotated[Any, Compiled()]
Items = Annotated[Any, WithJsonSchema({"type": ["string", "array"]}), Compiled()]


class PublicationDefinition(Definition):
    """A message for RabbitMQ. The worker publishes it persistent and waits for the confirm; a message that no queue takes fails the step."""

    exchange: StepExchange = Field(
        default="halo", description="An exchange; the worker takes one that exists as it is, and declares an absent one as a topic exchange."
    )
    routing_key: RunValue = Field(description="Text with <<Name>> and {{ JSONata }}, at most 255 bytes.", examples=["runs.done"])
    headers: RunValues = Field(default={}, description="Headers: text, numbers, true or false.", examples=[{"x-ticket": "<<TicketId>>"}])
    body: Body = Field(default=None, description="The body, sent as JSON; default: null.")


def compile_publication(definition: PublicationDefinition, node: ConfigNode, missing: MissingRule) -> Publication:
    for name, member in node.child("headers").members.items():
        if len(name.encode()) > MAX_HEADER:
            member.add_key_error(f"the name of a header has at most {MAX_HEADER} bytes")
        elif is_reserved(name):
            member.add_key_error(f"`{name}` cannot be the name of a header here: RabbitMQ or the worker gives it a meaning")
        elif isinstance(member.value, (dict, list)):
            member.add_error(f"`{name}` must be text, a number, true or false")
    if "routing_key" in node and not (isinstance(definition.routing_key, str) and definition.routing_key):
        node.child("routing_key").add_error("`routing_key` must be text")
    headers = optional_run_template(node.child("headers"), missing)
    body = optional_run_template(node.child("body"), missing)
    return Publication(definition.exchange, run_template(node.child("routing_key"), missing), headers, body)


def compile_set(node: ConfigNode) -> tuple[str, ...]:
    """The variables of a mapping. A `?` after a name says that the variable may be missing."""
    names = tuple(member_name(name)[0] for name in node.members)
    for name, member in zip(names, node.members.values(), strict=True):
        if reason := no_variable(name):
            member.add_key_error(reason)
    if isinstance(node.value, dict) and not node.value:
        node.add_error(f"`{node.name}` is empty: write a variable and its value")
    return names


def compile_start(runbook: str, node: ConfigNode, references: References, missing: MissingRule, *, waits: bool) -> SubRunbook:
    """`node`: the step."""
    check_reference(runbook, "runbook", references.names("runbooks"), node.child("start"))
    other = next((each for each in references.definitions if each.kind == "runbooks" and each.name == runbook), None)
    names = compile_set(node.child("input")) if node.child("input").value else ()
    taken = sorted(other.child("input").members) if other is not None else []
    for name, member in zip(names, node.child("input").members.values(), strict=False):
        if other is not None and name not in taken:
            member.add_key_error(f"the runbook `{runbook}` has no input `{name}`{choices(name, taken, none='it has none')}")
    if other is not None and (lacking := [name for name in taken if name not in names]):
        node.child("start").add_warning(f"`input` lacks {', '.join(lacking)}: {'it is' if len(lacking) == 1 else 'they are'} missing in the run of `{runbook}`")
    return SubRunbook(runbook, optional_run_template(node.child("input"), missing), waits)


def warn_of_cycles(runbook: ConfigNode, references: References) -> None:
    """Warn of runbooks that start each other in a circle: they end at the maximum depth of starts."""
    books = {each.name: each for each in references.definitions if each.kind == "runbooks"}
    started = {name: {step.child("start").value for step in book.child("steps").members.values()} & books.keys() for name, book in books.items()}
    for step in runbook.child("steps").members.values():
        if (first := step.child("start").value) in books and runbook.name in {first} | reachable_from(first, started):
            way = " → ".join([runbook.name, *(shortest_cycle(runbook.name, started)[1:])])
            step.child("start").add_warning(f"the runbooks {way} start each other: the run fails where {MAX_STARTS} runs are below each other")


def compile_each(members: Mapping[str, Any], node: ConfigNode, steps: tuple[str, ...], missing: MissingRule) -> ForEach:
    """Compile an iteration. `node`: the step; `members`: of its definition."""
    items, item, first = node.child("for_each"), members["item"], members["do"]
    if not isinstance(items.value, list) and not (isinstance(items.value, str) and is_single_value(items.value)):
        items.add_error('`for_each` must be one variable, one expression or a list: write "<<Items>>" or "{{ response.items }}"')
    if first is None:
        node.add_key_error("`do` is missing: the step that each element begins with")
    else:
        check_reference(first, "step", steps, node.child("do"))
    for key, name in (("as", item), ("failures", members["failures"])):
        if name is not None and (reason := no_variable(name)):
            node.child(key).add_error(reason)
    results = compile_set(node.child("into")) if "into" in node else ()
    given = [item, *results, *([members["failures"]] if members["failures"] else [])]
    if repeated := next((name for index, name in enumerate(given) if name in given[:index]), None):
        node.add_key_error(f"the variable `{repeated}` is named twice: `as`, `into` and `failures` need different names")
    into = optional_run_template(node.child("into"), "null")
    single = isinstance(items.value, str) and OPEN in items.value
    return ForEach(run_template(items, missing), item, first or "", members["parallel"], into, results, members["failures"] or "", single, missing != "fail")
