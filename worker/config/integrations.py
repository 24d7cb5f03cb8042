"""Integrations: the address of an API, the worker's credentials there, and the methods that runbooks call."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from worker.config.automation import Integration
from worker.config.config_node import ConfigNode
from worker.config.connections import ConnectionDefinition, compile_connection
from worker.config.customers import CustomersDefinition, compile_row, with_customers
from worker.config.method_credentials import check_credentials, check_login_method
from worker.config.methods import MethodDefinition, compile_method
from worker.config.references import References


class IntegrationDefinition(ConnectionDefinition):
    """A custom integration: an API with its methods."""

    methods: Annotated[dict[str, MethodDefinition], Field(min_length=1)] = Field(description="The calls, by name.")
    customers: CustomersDefinition | None = Field(
        default=None, description="A table of customers, each with an address and credentials of its own: one integration for each row."
    )


def compile_integration(definition: IntegrationDefinition, node: ConfigNode, references: References) -> Integration:
    """Compile an integration, also after errors, so that runbooks are checked against its methods. `node`: with `customers`, the view of one row."""
    members = node.child("methods")
    row = compile_row(node.child("customers"))
    methods = {name: replace(compile_method(method, node.name, members.child(name)), row=row) for name, method in definition.methods.items()}
    integration = replace(compile_connection(definition, node, references), methods=methods)
    for name, member in members.members.items():
        check_credentials(member, allowed=integration.sets_credentials(name))
    login = integration.auth.login
    if login is not None and login.method in methods:
        check_login_method(methods[login.method], members.child(login.method))
    return with_customers(integration, definition.customers, node, references)
