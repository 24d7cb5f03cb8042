"""The base of all definitions: strict models, marks for the types that hold expressions, and the function that builds routes from both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from worker.config.config_node import ConfigNode
from worker.config.template_lexer import OPEN

T = TypeVar("T")


class Definition(BaseModel):
    """One mapping of a route file: it refuses unknown keys, and never converts one type into another silently."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


D = TypeVar("D", bound=Definition)


def mistake(sentence: str) -> PydanticCustomError:
    """An error in our own words, to be read after the name of the member."""
    return PydanticCustomError("mistake", "{sentence}", {"sentence": sentence})


@dataclasses.dataclass(frozen=True, slots=True)
class Compiled:
    """Marks a type that is compiled. `compile` makes the compiled value of the member's node; None: the compiler of the kind does it.

    `jsonata`: which texts of the member are one expression, without filling of `${NAME}`. Others are filled outside of `{{ }}`, or everywhere for `none`.

    With `nowhere` the member is data, at any depth: nothing in it is filled or evaluated.
    """

    compile: Callable[[ConfigNode], Any] | None = None
    jsonata: Literal["none", "in braces", "all", "without braces", "nowhere"] = "in braces"

    def is_expression(self, text: str) -> bool:
        return self.jsonata == "all" or (self.jsonata == "without braces" and OPEN not in text)


def compile_members(model: type[Definition], node: ConfigNode) -> dict[str, Any]:
    """The compiled values of the members whose types are marked, whether or not the definition is valid."""
    return {name: compile_node(node.child(key)) for name, key, compile_node in compilers_of(model)}


@cache
def compilers_of(model: type[Definition]) -> Sequence[tuple[str, str, Callable[[ConfigNode], Any]]]:
    """Name, key and `compile` of the marked members."""
    marked = [(name, field.alias or name, mark_of(annotation_of(field))) for name, field in model.model_fields.items()]
    return [(name, key, mark.compile) for name, key, mark in marked if mark is not None and mark.compile is not None]


def build(target: type[T], definition: Definition, compiled: Mapping[str, Any] | None = None, **derived: Any) -> T:
    """Return the frozen object for the flows. It copies members of the same name; `compiled` and `derived` replace and complete them."""
    fields = {field.name for field in dataclasses.fields(target)}  # type: ignore[arg-type]  # every target is a dataclass
    taken = {name: getattr(definition, name) for name in type(definition).model_fields} | dict(compiled or {})
    same = {name: tuple(value) if isinstance(value, list) else value for name, value in taken.items() if name in fields}
    return target(**same | derived)


def mark_of(annotation: Any) -> Compiled | None:
    """The mark of a type, or of one branch of a union."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        return next((mark for mark in metadata if isinstance(mark, Compiled)), None) or mark_of(inner)
    if get_origin(annotation) in {Union, UnionType}:
        return next(filter(None, map(mark_of, get_args(annotation))), None)
    return None


def annotation_of(field: FieldInfo) -> Any:
    """Return the type of a field with its annotations: pydantic keeps them apart."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def alternatives(annotation: Any) -> list[Any]:
    """The types of a union, or the one type."""
    if get_origin(annotation) is Annotated:
        return alternatives(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return [each for argument in get_args(annotation) for each in alternatives(argument)]
    return [annotation]


def models_in(annotations: Sequence[Any]) -> list[type[Definition]]:
    """The definitions among types."""
    return [each for annotation in annotations for each in alternatives(annotation) if isinstance(each, type) and issubclass(each, Definition)]


def fields_of(models: Sequence[type[Definition]]) -> dict[str, FieldInfo]:
    """Return the members of these models, by the keys of the file."""
    return {field.alias or name: field for model in models for name, field in model.model_fields.items()}


def member_types(annotations: Sequence[Any], key: str | int) -> list[Any]:
    """The types that the member or item `key` may have in a value of one of these types."""
    field = fields_of(models_in(annotations)).get(str(key))
    containers = [each for annotation in annotations for each in alternatives(annotation) if get_origin(each) in {dict, list}]
    return ([annotation_of(field)] if field is not None else []) + [get_args(each)[-1] for each in containers]
