"""The connection of an integration: its address, the worker's credentials there, the hosts that it may call, its proxy and its certificates."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import Field
from yarl import URL

from worker.config.addresses import ApiAddress, Host, check_address
from worker.config.automation import Integration, IntegrationAuth
from worker.config.clients import Proxy
from worker.config.config_node import ConfigNode
from worker.config.definition import Definition
from worker.config.hosts import host_entry
from worker.config.integration_auth import IntegrationAuthDefinition, NoAuth, compile_auth
from worker.config.references import References
from worker.config.routes import Client
from worker.config.value_types import Text

CONNECTION = ("proxy", "ca_file", "cert_file", "key_file")


class ConnectionDefinition(Definition):
    """How an API is reached."""

    base_url: ApiAddress | None = Field(default=None, description="The start of each method's address; default for `auth: {type: halo}`: the client's API.")
    auth: IntegrationAuthDefinition = Field(default=NoAuth(type="none"), description="The worker's credentials.")
    allow_hosts: list[Host] = Field(
        default=[], description="Private or other hosts that the integration may call, as host or host:port; default: only the public host of the base URL."
    )
    proxy: Proxy | None = Field(default=None, description="An HTTP proxy for its requests, those for tokens included; its address may hold credentials.")
    ca_file: Text | None = Field(default=None, description="A PEM file of trusted certificates, besides those of the system.")
    cert_file: Text | None = Field(default=None, description="A PEM file with the worker's certificate, for APIs that ask for one (mutual TLS).")
    key_file: Text | None = Field(default=None, description="A PEM file with the key of `cert_file`; default: `cert_file` holds it too.")
    trace_context: bool = Field(
        default=False, description="Whether requests carry the W3C trace context (`traceparent`, `tracestate`) where spans are recorded; not for Halo."
    )


def compile_connection(definition: ConnectionDefinition, node: ConfigNode, references: References) -> Integration:
    """The integration without its methods. `node`: the integration's."""
    hosts = tuple(map(host_entry, definition.allow_hosts))
    methods = node.child("methods")
    auth = compile_auth(definition.auth, node.child("auth"), methods.members, hosts, references)
    if auth.login is not None:
        auth = replace(auth, login=replace(auth.login, source=repr(filled_value(methods.child(auth.login.method)))))
    client = references.clients.get(auth.client) if auth.client is not None else None
    base_url = definition.base_url or (default_address(client) if client else "")
    check_address(base_url, node, "base_url", hosts)
    if definition.base_url is None and auth.type != "halo" and "base_url" not in node:
        node.add_key_error("`base_url` is missing")
    if client is not None and definition.base_url is not None:
        check_halo_address(definition.base_url, client, node.child("base_url"))
    if definition.trace_context and auth.type == "halo":
        node.child("trace_context").add_error("`trace_context` is for APIs that continue a trace: Halo does not, so leave it out")
    check_connection(definition, auth, node)
    return Integration(
        node.name, base_url, auth, {}, hosts, definition.proxy, definition.ca_file, definition.cert_file, definition.key_file, definition.trace_context
    )


def filled_value(node: ConfigNode) -> Any:
    """Return the value in the route file, with its variables filled in: a secret may change while its name stays."""
    if not node.children:
        return node.fill(node.value) if isinstance(node.value, str) else node.value
    return {key: filled_value(child) for key, child in node.children.items()}


def check_connection(definition: ConnectionDefinition, auth: IntegrationAuth, node: ConfigNode) -> None:
    """Check that proxy and certificates fit the address and the authorization."""
    if auth.type == "halo":
        for name in CONNECTION:
            if name in node:
                node.child(name).add_key_error(f"`{name}` belongs to the client `{auth.client}`, whose connection this integration uses")
        return
    if definition.key_file is not None and definition.cert_file is None:
        node.child("key_file").add_key_error("`key_file` is given without `cert_file`")
    if auth.client_auth == "tls_client_auth" and definition.cert_file is None:
        node.child("auth").child("client_auth").add_error("`client_auth: tls_client_auth` needs `cert_file` of the integration")
    addresses = [each for each in (definition.base_url, auth.token_url) if each]
    if definition.cert_file is not None and addresses and not any(URL(each).scheme == "https" for each in addresses):
        node.child("cert_file").add_error("`cert_file` is for https addresses")


def default_address(client: Client) -> str:
    return client.api_url or f"{client.url}/api"


def check_halo_address(address: str, client: Client, node: ConfigNode) -> None:
    """Check that a token of Halo goes to Halo only."""
    own = [URL(known).origin() for known in (client.url, client.api_url) if known]
    if own and URL(address).origin() not in own:
        origins = " or ".join(sorted({str(origin) for origin in own}))
        node.add_error(f"the token of the client `{client.name}` goes only to its own host: {origins}")
