"""`customers` of an integration: a table whose rows each have their own address and credentials at the other API."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from worker.config.automation import Customers, Integration
from worker.config.config_node import ConfigNode
from worker.config.connections import ConnectionDefinition, compile_connection
from worker.config.customer_rows import shorten
from worker.config.definition import Compiled, Definition
from worker.config.methods import MethodDefinition, compile_method
from worker.config.node_values import run_template
from worker.config.references import References
from worker.config.run_templates import is_single_value, split
from worker.config.run_values import RunTemplate
from worker.config.template_lexer import Embedded, Unclosed, tokens
from worker.config.validation import validate
from worker.config.value_types import Text

VARYING = ("$eval", "$id", "$millis", "$now", "$random", "$shuffle", "$table")
RowText = Annotated[Text, Compiled()]


class CustomersDefinition(Definition):
    """The customers of an integration. Its address, its credentials and its files hold `{{ $customer.column }}`, the values of the row."""

    table: Text = Field(description="The table under `tables`: its keys are the customers.", examples=["tenants"])
    row: RowText = Field(
        description="The key of the row that a call uses, as <<Name>> or {{ JSONata }} over the variables of the run. A key that the table lacks fails the run.",
        examples=["<<Customer>>"],
    )
    at_once: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=2, description="Maximum calls of one customer under way at once, in each worker; the other places of a runbook stay free for other customers."
    )


def compile_row(node: ConfigNode) -> RunTemplate | None:
    """`node`: `customers`. None without it."""
    row = node.child("row")
    if not isinstance(row.value, str) or not row.value:
        return None
    if not is_single_value(row.value):
        row.add_error('`row` must be one variable or one expression: write "<<Customer>>" or "{{ $string(request.customer) }}"')
    for name, offset in varying(row.value):
        row.add_error(f"`{name}` may yield another customer when the step is tried again: compute the key in a step with `set`, and name that variable", offset)
    return run_template(row, "null")


def varying(text: str) -> list[tuple[str, int]]:
    """The functions whose result may differ between two attempts of one step, with their offsets."""
    try:
        pieces = [piece for piece in split(text) if isinstance(piece, Embedded)]
    except Unclosed:
        return []  # compilation reports it
    return [(token.text, piece.start + token.start) for piece in pieces for token in tokens(piece.text) if token.text in VARYING]


def with_customers(integration: Integration, definition: CustomersDefinition | None, node: ConfigNode, references: References) -> Integration:
    """Return the integration with a separate integration for each row. `node`: the view of one row."""
    rows = references.customers.get(node.name)
    if definition is None or rows is None:
        return integration
    if integration.auth.type == "halo":
        node.child("auth").child("type").add_error("`halo` takes the token of a client: write a client for each Halo, and no `customers`")
    login = integration.auth.login
    each, already = {}, len(rows.general.target)
    for view in rows.views:
        connection = validate(ConnectionDefinition, view.without_methods())
        if connection is None:
            view.report()
            continue
        made = compile_connection(connection, view.node, references)
        methods = integration.methods
        if login is not None and login.method in methods:
            place = view.node.child("methods").child(login.method)
            method = validate(MethodDefinition, place)
            own = {login.method: replace(compile_method(method, node.name, place), row=methods[login.method].row)} if method is not None else {}
            methods = dict(methods) | own
        view.report()
        if view.is_valid:
            each[view.key] = replace(made, methods=methods, customer=view.key, values=view.values)
    shorten(rows.general.target, already)
    return replace(integration, customers=Customers(definition.table, definition.at_once, each))
