"""Turns what pydantic says about a definition into problems with places and plain sentences; input is never quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from worker.config.config_node import ConfigNode, filled
from worker.config.document import Path
from worker.config.models.base import Definition
from worker.core.errors import Problem
from worker.core.suggest import did_you_mean

D = TypeVar("D", bound=Definition)
LATER: Mapping[str, frozenset[str]] = {
    "subscribers": frozenset(("for_each", "examples")),
    "publishers": frozenset(("result", "examples")),
}
NOTHING: frozenset[str] = frozenset()
NESTED = frozenset(("methods", "steps"))
PLACEHOLDER = "-"
PLACEHOLDERS: Mapping[str, Mapping[str, Any]] = {
    "subscribers": {"client": PLACEHOLDER},
    "publishers": {"client": PLACEHOLDER, "queue": PLACEHOLDER},
    "webhooks": {"client": PLACEHOLDER, "auth": {"type": "basic", "username": PLACEHOLDER, "password": PLACEHOLDER}},
}
"""What stands for members that must be there but are wrong, so that the others are checked as well."""
TYPES = {
    "string_type": "must be text; put it in quotes",
    "bool_type": "must be true or false, without quotes",
    "int_type": "must be a whole number, without quotes",
    "float_type": "must be a number, without quotes",
    "dict_type": "must be a mapping (names and values)",
    "mapping_type": "must be a mapping (names and values)",
    "model_type": "must be a mapping (names and values)",
    "model_attributes_type": "must be a mapping (names and values)",
    "list_type": "must be a list",
    "string_too_short": "must not be empty",
}


def validated(model: type[D], node: ConfigNode, problems: list[Problem]) -> D | None:
    """The definition with its variables filled in, or what is left of it after problems, or None."""
    unfilled: dict[Path, Problem] = {}
    value = filled(node, unfilled)
    problems.extend(unfilled.values())
    kind = str(node.path[0])
    if not isinstance(value, dict):
        problems.append(node.problem(f"`{node.path[-1]}` must be a mapping (names and values)"))
        return None
    later = LATER.get(kind, NOTHING) & value.keys()
    problems.extend(node.child(name).key_problem(not_yet(name)) for name in later)
    if kind == "subscribers" and isinstance(value.get("client"), list):
        problems.append(node.child("client").problem("a list under `client` is not available in this version: write one route for each client"))
        value = value | {"client": PLACEHOLDER}
    given = {name: member for name, member in value.items() if name not in later}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    told = [detail for detail in details if descend(node, detail["loc"]).path not in unfilled]
    problems.extend(problem_of(detail, model, node) for detail in told)
    return what_is_left(model, given, details, PLACEHOLDERS.get(kind, {}))


def what_is_left(model: type[D], given: Mapping[str, Any], details: Sequence[ErrorDetails], placeholders: Mapping[str, Any]) -> D | None:
    """The definition without what is wrong, so that the others are checked as well; None when nothing can be made of it.

    Of steps and methods first the members that are wrong are left out, and if that is not enough the whole step or method.
    """
    for depth in (3, 2, 1):
        wrong = {detail["loc"][: depth if detail["loc"][0] in NESTED else 1] for detail in details if detail["loc"]}
        given = without(given, wrong) | {name: value for name, value in placeholders.items() if (name,) in wrong}
        try:
            return model.model_validate(given)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
    return None


def without(given: Mapping[str, Any], paths: set[tuple[int | str, ...]]) -> dict[str, Any]:
    """A copy without the members at these paths; a path may lead to nothing."""
    inner = {path[0]: {other[1:] for other in paths if other[0] == path[0] and len(other) > 1} for path in paths}
    kept = {name: without(value, inner[name]) if name in inner and isinstance(value, Mapping) else value for name, value in given.items()}
    return {name: value for name, value in kept.items() if (name,) not in paths}


def not_yet(name: str) -> str:
    return f"`{name}` is not available in this version"


def problem_of(detail: ErrorDetails, model: type[BaseModel], node: ConfigNode) -> Problem:
    """One complaint, at the key or value it is about."""
    location = detail["loc"]
    if detail["type"] == "missing":
        return descend(node, location[:-1]).key_problem(f"`{location[-1]}` is missing")
    if detail["type"] == "extra_forbidden":
        name = str(location[-1])
        valid = members(model, location[:-1])
        near = did_you_mean(name, valid) or f"; valid are {', '.join(valid)}"
        return descend(node, location[:-1]).child(name).key_problem(f"unknown key `{name}`{near}")
    place = descend(node, location)
    if detail["type"] == "union_tag_invalid":
        place = place.child("type")
    said = sentence(detail["type"], detail["msg"], detail.get("ctx", {}) | {"tags": tags(model, location)})
    return place.problem(said if said.startswith("`") else f"{name_of(place)} {said}")


def name_of(node: ConfigNode) -> str:
    """How a sentence names a member; an item of a list by its number, from 1."""
    last = node.path[-1]
    return f"item {last + 1} of `{node.path[-2]}`" if isinstance(last, int) else f"`{last}`"


def sentence(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """What is wrong, to be read after the name of the member."""
    match kind:
        case "mistake":
            said = str(context["sentence"])
        case "literal_error":
            said = f"must be {str(context['expected']).replace(chr(39), '')}"
        case "union_tag_not_found":
            said = f"needs `type`: {context['tags']}"
        case "union_tag_invalid":
            said = f"must be {context['tags']}"
        case "greater_than_equal":
            said = f"must be at least {context['ge']}"
        case "less_than_equal":
            said = f"must be at most {context['le']}"
        case "too_short" | "dict_too_short":
            said = f"needs at least {context['min_length']} member"
        case "too_long" | "string_too_long":
            said = f"is longer than {context['max_length']}"
        case _:
            said = TYPES.get(kind) or f"is not valid: {message[:1].lower()}{message[1:]}"
    return said


def descend(node: ConfigNode, location: Sequence[str | int]) -> ConfigNode:
    """The place that a location means; steps that are no members (the branch of a union, a type's own name) are passed over."""
    for step in location:
        if step in node:
            node = node.child(step)
    return node


def members(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The names that are valid at a location of the model."""
    return list(fields_of(models_at(model, location)))


def models_at(model: type[BaseModel], location: Sequence[str | int]) -> list[type[BaseModel]]:
    """The models that may stand at a location; the tag of a union chooses one."""
    found = [model]
    for step in location:
        tagged = [candidate for candidate in found if step in tags_of(candidate)]
        member = fields_of(found).get(str(step))
        inner = models_in(member.annotation) if member is not None else []
        found = tagged or inner or found
    return found


def fields_of(models: Sequence[type[BaseModel]]) -> dict[str, FieldInfo]:
    """Their members as they are written."""
    return {member.alias or name: member for model in models for name, member in model.model_fields.items()}


def tags_of(model: type[BaseModel]) -> tuple[Any, ...]:
    """What `type` may be in a model that it tells apart."""
    member = model.model_fields.get("type")
    return get_args(member.annotation) if member is not None else ()


def tags(model: type[BaseModel], location: Sequence[str | int]) -> str:
    """The valid types at a location, as words."""
    valid = [str(tag) for candidate in models_at(model, location) for tag in tags_of(candidate)]
    return " or ".join(filter(None, (", ".join(valid[:-1]), valid[-1]))) if valid else ""


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in models_in(argument)]
