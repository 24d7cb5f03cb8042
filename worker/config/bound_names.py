"""Checks that every variable of an expression is bound: by the worker, or by the expression itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from worker.config.config_node import ConfigNode
from worker.config.definition import Compiled, Definition, mark_of, member_types
from worker.config.syntax import FUNCTIONS
from worker.config.template_lexer import Embedded, Token, Unclosed, parts, tokens, whole
from worker.core.suggest import did_you_mean

ALWAYS = ("route", "client")
BOUND: Mapping[str, tuple[str, ...]] = {
    "subscribers": (*ALWAYS, "change"),
    "publishers": (*ALWAYS, "headers", "message"),
    "webhooks": ALWAYS,
}
"""Names that the worker binds, by section. Runbooks and integrations have none: their variables are members of the context."""
REQUESTS = ("request", "input_transform", "for_each")
"""Members of a subscriber that are evaluated before there is a record."""
EXPLANATIONS: Mapping[str, str] = {
    "parent": "`$parent` is the parent's record under `for_each`",
    "change": "`$change` is the kind of change, in `when`, `transform` and `publish` of subscribers",
    "headers": "`$headers` are those of the message of a publisher",
    "message": "`$message` is about the message of a publisher",
    "customer": "`$customer` is the row of the customer, in methods of integrations with `customers`",
}


def check_bound_names(model: type[Definition], node: ConfigNode) -> None:
    """Add an error for each unbound variable in the definition's expressions."""
    for key, child in node.children.items():
        if key == "report":
            continue  # `worker.config.reports` allows one expression in it
        for place, text, start in expressions(child, member_types([model], key)):
            names = names_at(node.kind, key) | ({"parent"} if "for_each" in node and key != "for_each" else set())
            names |= {"customer"} if "customers" in node and key == "methods" else set()
            check_expression(place, text, start, names)


def names_at(section: str, member: str | int) -> set[str]:
    names = set(BOUND.get(section, ()))
    return names - {"change"} if member in REQUESTS else names


def expressions(node: ConfigNode, annotations: Sequence[Any], mark: Compiled | None = None) -> Iterator[tuple[ConfigNode, str, int]]:
    """Every expression with its node and its offset in the node's text."""
    mark = mark or next((found for found in map(mark_of, annotations) if found is not None), None)
    for key, child in node.children.items():
        yield from expressions(child, member_types(annotations, key), mark)
    if mark is None or mark.jsonata in {"none", "nowhere"} or not isinstance(node.value, str):
        return
    try:
        pieces = [part for part in parts(node.value) if isinstance(part, Embedded)]
        bare = mark.is_expression(node.value) and mark in map(mark_of, annotations) and not whole(node.value)
    except Unclosed:
        return  # compilation reports it
    yield from [(node, node.value, 0)] if bare else [(node, piece.text, piece.start) for piece in pieces]


def check_expression(node: ConfigNode, text: str, start: int, bound: set[str]) -> None:
    written = [token for token in tokens(text) if token.kind not in {"space", "comment"}]
    own = own_names(written)
    reported: set[str] = set()
    for index, token in enumerate(written):
        name = token.text[1:]
        called = index + 1 < len(written) and written[index + 1].text == "("
        if token.kind != "variable" or name in {"", "$"} or name in reported or name in {*bound, *own, *FUNCTIONS} or called:
            continue
        reported.add(name)
        node.add_error(f"`${name}` is never bound, so it yields nothing{advice(name, {*bound, *own})}", start + token.start)


def own_names(written: Sequence[Token]) -> set[str]:
    """The names that the expression binds: with `:=`, as parameters of a function, or with `@` and `#`."""
    found: set[str] = set()
    parameters = False
    for index, token in enumerate(written):
        before = written[index - 1].text if index else ""
        if token.text == "(" and before in {"function", "λ"}:
            parameters = True
        elif token.text == ")":
            parameters = False
        elif token.kind == "variable":
            assigned = "".join(each.text for each in written[index + 1 : index + 3]) == ":="
            if parameters or assigned or before in {"@", "#"}:
                found.add(token.text[1:])
    return found


def advice(name: str, valid: set[str]) -> str:
    if name in EXPLANATIONS:
        return f": {EXPLANATIONS[name]}"
    if near := did_you_mean(name, sorted(valid)):
        return near.replace(" mean ", " mean $").replace(" or ", " or $")
    return f"; bound here: {', '.join(f'${each}' for each in sorted(valid))}" if valid else "; a member of the input is written without `$`"
