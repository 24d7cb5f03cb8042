"""The `next` of a step: branches. A run takes the first branch whose condition holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from worker.config.config_node import ConfigNode
from worker.config.control_steps import Branch
from worker.config.definition import Definition, mistake
from worker.config.node_values import condition
from worker.config.references import check_reference
from worker.config.template_lexer import Unclosed, whole
from worker.config.value_types import ConditionText, Text


class BranchDefinition(Definition):
    """One branch."""

    when: ConditionText | None = Field(default=None, description="JSONata over the variables, `status`, `response` and `request`; default: always true.")
    go: Text = Field(description="The step to go to.")


def branches(value: Any) -> Any:
    """Return the branches. The name of a step alone is one branch that every run takes."""
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


def compile_branches(branches: Sequence[BranchDefinition], node: ConfigNode, names: Sequence[str]) -> tuple[Branch, ...]:
    """Compile the branches. `node`: the node of `next`; `names`: of all steps."""
    found: list[Branch] = []
    for index, branch in enumerate(branches):
        place = node if isinstance(node.value, str) else node.child(index)
        check_reference(branch.go, "step", names, place if place is node else place.child("go"))
        if found and not found[-1].label:
            place.add_error("this branch is never taken: the one before it has no `when`")
        found.append(Branch(condition(place.child("when")) if branch.when is not None else None, branch.go, label(branch.when or "")))
    return tuple(found)


def label(when: str) -> str:
    """Return a condition as in the file, without its braces."""
    try:
        embedded = whole(when)
    except Unclosed:
        embedded = None
    return (embedded.text if embedded else when).strip()
