"""Validates a definition with pydantic, and reports its errors as plain sentences with places; it never quotes input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from worker.config.config_node import ConfigNode
from worker.config.definition import Compiled, D, Definition, fields_of, mark_of, member_types, models_in
from worker.config.interpolation import Unfilled
from worker.config.template_lexer import Embedded, Unclosed, parts
from worker.core.suggest import did_you_mean

NESTED = frozenset(("methods", "steps", "report", "include", "for_each"))
PLACEHOLDER = "-"
PLACEHOLDERS: Mapping[str, Mapping[str, Any]] = {
    "subscribers": {"client": PLACEHOLDER},
    "publishers": {"client": PLACEHOLDER, "queue": PLACEHOLDER},
    "webhooks": {"client": PLACEHOLDER, "auth": {"type": "basic", "username": PLACEHOLDER, "password": PLACEHOLDER}},
}
"""Replacements for wrong required members, so that the others are checked too."""
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


def validate(model: type[D], node: ConfigNode) -> D | None:
    """Return the definition with its variables filled in, or its valid part, or None."""
    unfilled: set[ConfigNode] = set()
    given = fill_and_validate(node, [model], unfilled)
    if not isinstance(given, dict):
        node.add_error(f"`{node.name}` must be a mapping (names and values)")
        return None
    try:
        return model.model_validate(given)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    for detail in details:
        if descend(node, detail["loc"]) not in unfilled:
            add_error(detail, model, node)
    return valid_part(model, given, details, PLACEHOLDERS.get(node.kind, {}))


def fill_and_validate(node: ConfigNode, annotations: Sequence[Any], unfilled: set[ConfigNode], mark: Compiled | None = None) -> Any:
    """Return the value with its variables filled in. Of texts with expressions only the literal parts are checked. Adds an error for unfillable variables."""
    mark = mark or next((found for found in map(mark_of, annotations) if found is not None and found.jsonata != "none"), None)
    value = node.value
    if mark is not None and mark.jsonata == "nowhere":
        return value
    if node.children:
        members = {key: fill_and_validate(child, member_types(annotations, key), unfilled, mark) for key, child in node.children.items()}
        return members if isinstance(value, dict) else list(members.values())
    if not isinstance(value, str):
        return value
    is_member = mark in map(mark_of, annotations)  # and not a text deeper in it
    if mark is not None and is_member and mark.is_expression(value):
        return value
    for text, start in [(value, 0)] if mark is None else literals(value):
        try:
            result = node.file.variables.fill(text)
        except Unfilled as error:
            node.add_error(str(error), start + error.start)
            unfilled.add(node)
            return value
        if mark is None:
            return result
    return value


def literals(text: str) -> list[tuple[str, int]]:
    """The text outside of expressions, with its offsets; empty when the braces are wrong, which compilation reports."""
    try:
        return [(part.text, part.start) for part in parts(text) if not isinstance(part, Embedded)]
    except Unclosed:
        return []


def valid_part(model: type[D], given: Mapping[str, Any], details: Sequence[ErrorDetails], placeholders: Mapping[str, Any]) -> D | None:
    """Return the definition without its wrong members, so that the others are checked too; None if no valid part is left.

    For steps and methods it first leaves out the wrong members, then, if that is not enough, the whole step or method.
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
    """Return a copy without the members at these paths; a path may lead to no member."""
    inner = {path[0]: {other[1:] for other in paths if other[0] == path[0] and len(other) > 1} for path in paths}
    kept = {name: without(value, inner[name]) if name in inner and isinstance(value, Mapping) else value for name, value in given.items()}
    return {name: value for name, value in kept.items() if (name,) not in paths}


def add_error(detail: ErrorDetails, model: type[Definition], node: ConfigNode) -> None:
    """Adds one error of pydantic at the key or value that it is about."""
    location = detail["loc"]
    if detail["type"] == "missing":
        descend(node, location[:-1]).add_key_error(f"`{location[-1]}` is missing")
    elif detail["type"] == "extra_forbidden":
        name = str(location[-1])
        valid = list(fields_of(models_at(model, location[:-1])))
        near = did_you_mean(name, valid) or f"; valid are {', '.join(valid)}"
        descend(node, location).add_key_error(f"unknown key `{name}`{near}")
    else:
        place = descend(node, location)
        if detail["type"] == "union_tag_invalid":
            place = place.child("type")
        message = error_sentence(detail["type"], detail["msg"], detail.get("ctx", {}) | {"tags": tags(model, location)})
        place.add_error(message if message.startswith("`") else f"{name_of(place)} {message}")


def name_of(node: ConfigNode) -> str:
    """The subject of a sentence about a member; an item of a list has its number, from 1."""
    last = node.path[-1]
    return f"item {last + 1} of `{node.path[-2]}`" if isinstance(last, int) else f"`{last}`"


def error_sentence(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """Return the mistake as a sentence's end that follows the name of the member."""
    match kind:
        case "mistake":
            text = str(context["sentence"])
        case "literal_error":
            text = f"must be {str(context['expected']).replace(chr(39), '')}"
        case "union_tag_not_found":
            text = f"needs `type`: {context['tags']}"
        case "union_tag_invalid":
            text = f"must be {context['tags']}"
        case "greater_than_equal":
            text = f"must be at least {context['ge']}"
        case "less_than_equal":
            text = f"must be at most {context['le']}"
        case "too_short" | "dict_too_short":
            text = f"needs at least {context['min_length']} member"
        case "too_long" | "string_too_long":
            text = f"is longer than {context['max_length']}"
        case _:
            text = TYPES.get(kind) or f"is not valid: {message[:1].lower()}{message[1:]}"
    return text


def descend(node: ConfigNode, location: Sequence[str | int]) -> ConfigNode:
    """Return the node at a location; it skips parts that are no member (the branch of a union, a type's own name)."""
    for step in location:
        if step in node:
            node = node.child(step)
    return node


def models_at(model: type[Definition], location: Sequence[str | int]) -> list[type[Definition]]:
    """Return the definitions that are possible at a location; the tag of a union chooses one."""
    found: list[Any] = [model]
    for step in location:
        tagged = [candidate for candidate in models_in(found) if step in tags_of(candidate)]
        found = tagged or member_types(found, step) or found
    return models_in(found)


def tags_of(model: type[Definition]) -> tuple[Any, ...]:
    """The values of `type` that choose a definition."""
    member = model.model_fields.get("type")
    return get_args(member.annotation) if member is not None else ()


def tags(model: type[Definition], location: Sequence[str | int]) -> str:
    """The valid types at a location, as words."""
    valid = [str(tag) for candidate in models_at(model, location) for tag in tags_of(candidate)]
    return " or ".join(filter(None, (", ".join(valid[:-1]), valid[-1]))) if valid else ""
