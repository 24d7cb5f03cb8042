"""Runbooks: flow charts of methods and Halo API actions, and what starts them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from worker.config.automation import DEFAULT_STEP_LIMIT
from worker.config.models.base import BrokerName, Definition, Duration, Expression, Parameters, Text, mistake
from worker.config.models.callers import CallerAuthDefinition
from worker.config.models.integrations import Body, CallTimeout, Outputs
from worker.config.models.publishers import FindDefinition


class BranchDefinition(Definition):
    """One way on."""

    when: Expression | None = Field(
        default=None, description="JSONata over the variables, `status`, `response` and `request`; without it the branch is always taken."
    )
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
    "properties": {"when": {"type": "string", "description": "JSONata over the variables, `status`, `response` and `request`."}, "go": {"type": "string"}},
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
    """One box of the flow chart: a `method`, an `action`, an `end`, or with `next` alone a condition."""

    method: Text | None = Field(default=None, description="A method to call, as integration.method.", examples=["openai.completions"])
    action: Text | None = Field(default=None, description="A Halo API action; `halo-worker actions` shows them.", examples=["create_action"])
    client: Text | None = Field(default=None, description="The client on which the action is done.")
    path: Parameters = Field(default={}, description="Values for the {parameters} of the action's path.")
    query: Parameters = Field(default={}, description="Query parameters of the action.")
    body: Body = Field(default=None, description="What the action sends; it may hold <<Name>> and {{ JSONata }}.")
    output: Outputs = Field(default={}, description="Variables of the answer, in Halo's grammar; a method has its own besides.")
    next: Next | None = Field(
        default=None,
        description="Where it goes on: a step, or branches of which the first that holds is taken; if none holds the run fails. Without it the run is done.",
    )
    on_failure: Text | None = Field(default=None, description="Where it goes when the call is refused or its retries are used up; without it the run fails.")
    end: Literal["done", "failed"] | None = Field(default=None, description="The run ends here.")
    reason: Text | None = Field(default=None, description="Why it failed, for `end: failed`; it may hold <<Name>> and {{ JSONata }}.")
    retry: list[Duration] = Field(default=[10.0, 60.0, 600.0], max_length=20, description="The delays between attempts; [] for none.")
    in_doubt: Literal["park", "repeat"] = Field(default="park", description="What becomes of a call that may have been done and cannot be looked up.")
    find: FindDefinition | None = Field(default=None, description="Look before create, for actions.")
    timeout: CallTimeout | None = Field(default=None, description="How long the call may take, at most 10m; by default as its method or client says.")


class EndpointDefinition(Definition):
    """A public address that starts the runbook."""

    auth: CallerAuthDefinition = Field(description="How the caller proves who it is.")


class StartDefinition(Definition):
    """What starts the runbook, besides the webhooks that name it."""

    queue: BrokerName | None = Field(default=None, description="A queue whose messages each start a run; it is declared.")
    endpoint: EndpointDefinition | None = Field(default=None, description="POST /runbooks/<name> starts a run.")


class RunbookDefinition(Definition):
    """A flow chart of methods and actions."""

    start: StartDefinition = Field(default=StartDefinition(), description="What starts it.")
    input: Outputs = Field(default={}, description="Variables of the starting payload, in Halo's grammar.", examples=[{"TicketId": "request^ticket^id"}])
    first: Text = Field(description="The step that a run begins with.")
    steps: Annotated[dict[str, StepDefinition], Field(min_length=1)] = Field(description="The steps, by name.")
    step_limit: Annotated[int, Field(ge=1, le=10_000)] = Field(default=DEFAULT_STEP_LIMIT, description="How many steps a run may take; it stops loops.")
    concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(default=4, description="How many steps of this runbook run at a time.")
