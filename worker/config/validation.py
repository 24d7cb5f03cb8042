"""Turns what pydantic says about a definition into problems with places and plain sentences; input is never quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from worker.config.document import Path
from worker.config.models.base import Definition
from worker.config.spot import Spot, filled
from worker.core.errors import Problem
from worker.core.suggest import did_you_mean

D = TypeVar("D", bound=Definition)
LATER: Mapping[str, frozenset[str]] = {
    "": frozenset(("webhooks", "integrations", "runbooks")),
    "clients": frozenset(),
    "subscribers": frozenset(("for_each", "examples")),
    "publishers": frozenset(("once", "order_by", "result", "examples")),
}
PLACEHOLDER = "-"
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


def validated(model: type[D], spot: Spot, problems: list[Problem]) -> D | None:
    """The definition with its variables filled in, or what is left of it after problems, or None."""
    unfilled: dict[Path, Problem] = {}
    value = filled(spot, unfilled)
    problems.extend(unfilled.values())
    kind = str(spot.path[0])
    if not isinstance(value, dict):
        problems.append(spot.problem(f"`{spot.path[-1]}` must be a mapping (names and values)"))
        return None
    later = LATER[kind] & value.keys()
    problems.extend(spot.child(name).key_problem(not_yet(name)) for name in later)
    if kind == "subscribers" and isinstance(value.get("client"), list):
        problems.append(spot.child("client").problem("a list under `client` is not available in this version: write one route for each client"))
        value = value | {"client": PLACEHOLDER}
    given = {name: member for name, member in value.items() if name not in later}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    told = [detail for detail in details if descend(spot, detail["loc"]).path not in unfilled]
    problems.extend(problem_of(detail, model, spot) for detail in told)
    return what_is_left(model, given, details)


def what_is_left(model: type[D], given: Mapping[str, Any], details: Sequence[ErrorDetails]) -> D | None:
    """The definition without the members that are wrong, so that the others are checked as well; None when nothing can be made of it."""
    wrong = {detail["loc"][0] for detail in details if detail["loc"]}
    placeholders = {name: PLACEHOLDER for name in ("client", "queue") if name in wrong and name in model.model_fields}
    try:
        return model.model_validate({name: member for name, member in given.items() if name not in wrong} | placeholders)
    except ValidationError:
        return None


def not_yet(name: str) -> str:
    return f"`{name}` is not available in this version"


def problem_of(detail: ErrorDetails, model: type[BaseModel], spot: Spot) -> Problem:
    """One complaint, at the key or value it is about."""
    location = detail["loc"]
    if detail["type"] == "missing":
        return descend(spot, location[:-1]).key_problem(f"`{location[-1]}` is missing")
    if detail["type"] == "extra_forbidden":
        name = str(location[-1])
        valid = members(model, location[:-1])
        near = did_you_mean(name, valid) or f"; valid are {', '.join(valid)}"
        return descend(spot, location[:-1]).child(name).key_problem(f"unknown key `{name}`{near}")
    place = descend(spot, location)
    if detail["type"] == "union_tag_invalid":
        place = place.child("type")
    said = sentence(detail["type"], detail["msg"], detail.get("ctx", {}))
    return place.problem(said if said.startswith("`") else f"{name_of(place)} {said}")


def name_of(spot: Spot) -> str:
    """How a sentence names a member; an item of a list by its number, from 1."""
    last = spot.path[-1]
    return f"item {last + 1} of `{spot.path[-2]}`" if isinstance(last, int) else f"`{last}`"


def sentence(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """What is wrong, to be read after the name of the member."""
    match kind:
        case "mistake":
            said = str(context["sentence"])
        case "literal_error":
            said = f"must be {str(context['expected']).replace(chr(39), '')}"
        case "union_tag_not_found":
            said = "needs `type`: client_credentials or password"
        case "union_tag_invalid":
            said = "must be client_credentials or password"
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


def descend(spot: Spot, location: Sequence[str | int]) -> Spot:
    """The place that a location means; steps that are no members (the branch of a union, a type's own name) are passed over."""
    for step in location:
        if step in spot:
            spot = spot.child(step)
    return spot


def members(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The names that are valid at a location of the model."""
    found = dict[str, Any](model.model_fields)
    for step in location:
        fields = found.get(str(step))
        inner = None if fields is None else fields.annotation
        candidates = models_in(inner)
        if candidates:
            found = {name: field for candidate in candidates for name, field in candidate.model_fields.items()}
    return list(found)


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a type is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in models_in(argument)]
