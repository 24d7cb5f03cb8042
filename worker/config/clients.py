"""Compiles the definition of a client."""

from __future__ import annotations

from worker.config.config_node import ConfigNode
from worker.config.models.clients import ClientCredentials, ClientDefinition, Password
from worker.config.routes import Client, Grant
from worker.core.errors import Problem


def compile_client(name: str, definition: ClientDefinition, node: ConfigNode, problems: list[Problem]) -> Client:
    if definition.url is None and (definition.api_url is None or definition.token_url is None) and "url" not in node:
        problems.append(node.key_problem("a client needs `url`, or both `api_url` and `token_url`"))
    return Client(
        name=name,
        url=definition.url,
        grant=compile_grant(definition.auth),
        api_url=definition.api_url,
        token_url=definition.token_url,
        tenant=definition.tenant,
        rate_limit=definition.rate_limit,
        timeout=definition.timeout,
        ca_file=definition.ca_file,
        proxy=definition.proxy,
        headers=definition.headers,
    )


def compile_grant(auth: ClientCredentials | Password) -> Grant:
    return Grant(
        type=auth.type,
        client_id=auth.client_id,
        client_secret=auth.client_secret,
        username=auth.username if isinstance(auth, Password) else None,
        password=auth.password if isinstance(auth, Password) else None,
        scopes=tuple(auth.scopes),
    )
