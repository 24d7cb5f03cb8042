"""`pages` of a method: how to find the further pages of a list, and the place of the items in each page."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from worker.config.config_node import ConfigNode
from worker.config.definition import Definition
from worker.config.integration_parts import PagingRule
from worker.config.node_values import compile_variable_path
from worker.config.value_types import Text, VariableText
from worker.config.variables import MemberPart, VariablePath, parse_variable

WAYS = ("next", "page", "cursor")
LINK = "link"


class CursorDefinition(Definition):
    """A mark in each answer that the next request sends."""

    parameter: Text = Field(description="The query parameter that takes the mark.", examples=["after"])
    value: VariableText = Field(
        description="Where an answer holds the mark; none, null or empty: it was the last page.", examples=["response^meta^next_cursor!"]
    )


class PagesDefinition(Definition):
    """The way from page to page: one of `next`, `page` and `cursor`. The answers become one, with the items of all pages."""

    next: Literal["link"] | VariableText | None = Field(
        default=None,
        description="Where the address of the next page is: `link` is the header `Link`, otherwise an expression. It may lead to the integration's own address only.",
        examples=["link", "response^next!"],
    )
    page: Text | None = Field(default=None, description="The query parameter that counts pages; an answer without items is the end.", examples=["page"])
    first: Annotated[int, Field(ge=0, le=1)] = Field(default=1, description="The number of the first page, with `page`.", examples=[0])
    cursor: CursorDefinition | None = Field(
        default=None, description="A mark that the next request sends.", examples=[{"parameter": "after", "value": "response^next_cursor!"}]
    )
    items: VariableText = Field(default="response", description="The list in each answer; members only.", examples=["response^items"])
    max: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="Maximum pages of one call; a longer list fails the call.")


def compile_pages(definition: PagesDefinition | None, verb: str, query: frozenset[str], node: ConfigNode) -> PagingRule | None:
    """Compile `pages`; None without it, and after errors. `query`: the parameters that the method sets; a cursor replaces one of them after the first page."""
    if definition is None:
        return None
    if verb != "GET":
        node.add_key_error("`pages` is for the method GET")
    given = [way for way in WAYS if way in node]
    if len(given) != 1:
        node.add_key_error("`pages` needs exactly one of `next`, `page` and `cursor`")
        return None
    if "first" in node and given != ["page"]:
        node.child("first").add_key_error("`first` is for `page`")
    parameter = definition.page or (definition.cursor.parameter if definition.cursor is not None else "")
    if definition.page in query:
        node.child("page").add_error(f"`{parameter}` is set under `query` too: leave it out there, or set `first`")
    follows = None if definition.next == LINK else answer_path(node.child("next"))
    value = answer_path(node.child("cursor").child("value"))
    return PagingRule(
        items_of(node.child("items")),
        definition.max,
        link=definition.next == LINK,
        next=follows,
        page=definition.page or "",
        first=definition.first,
        cursor=definition.cursor.parameter if definition.cursor is not None else "",
        value=value,
    )


def answer_path(node: ConfigNode) -> VariablePath | None:
    """Return the path in one answer; None without an expression, and after errors."""
    path = compile_variable_path(node)
    if path is not None and path.root not in {"response", "headers"}:
        node.add_error(f"`{node.name}` must begin with `response` or `headers`")
    return path


def items_of(node: ConfigNode) -> VariablePath:
    """Return the place of the list. The worker puts the items of all pages there, so the path may hold only members."""
    path = compile_variable_path(node) or parse_variable("response")
    if path.root != "response" or not all(isinstance(part, MemberPart) for part in path.parts):
        node.add_error("`items` must be `response` or members of it, such as `response^data^items`")
    return path
