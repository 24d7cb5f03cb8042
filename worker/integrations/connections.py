"""Opens the connection to one integration's API: guarded sockets and authorization."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

from yarl import URL

from worker.config.automation import Integration, IntegrationAuth, Method
from worker.config.routes import Grant
from worker.core.errors import ConfigError, Problem
from worker.core.header_names import CONTROL_CHARACTERS, header_problem
from worker.core.ports import Clock, Evaluator
from worker.halo.addresses import TokenAddress, api_address, token_address
from worker.halo.auth import AuthManager
from worker.halo.budget import Budget
from worker.halo.client import HaloClient
from worker.halo.shutdown_gate import ShutdownGate
from worker.halo.slot import SharedAccess
from worker.halo.tls import tls_context
from worker.halo.token_source import GrantSource, TokenEndpoint, TokenSource
from worker.halo.transport import Send, open_transport
from worker.integrations.authorization import Authorization, FixedAuthorization, TokenAuthorization, fixed_authorization
from worker.integrations.guard import MAX_RESPONSE_BYTES, AddressGuard, guard_of, guarded, open_guarded, socket_guard
from worker.integrations.login import LoginSource
from worker.metrics import Metrics

CONNECTION_TIMEOUT = 600.0
"""Seconds; the timeout of a method is shorter."""
TOKEN_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True, eq=False)
class ApiConnection:
    """Sends calls with URLs below the integration's base_url, so that all of them go to `origin`."""

    integration: Integration
    origin: URL
    send: Send
    authorization: Authorization

    @property
    def peer(self) -> str:
        """Return the called system, for reasons: the host, with the key of the customer's row in the operator's table."""
        customer = self.integration.customer
        return f"{self.origin.authority} (customer {customer})" if customer else self.origin.authority

    def of_customer(self, reason: str) -> str:
        return with_customer(self.integration, reason)

    def authorization_of(self, method: Method) -> Authorization:
        """Return the authorization of a method: the login goes without the token that it returns."""
        login = self.integration.auth.login
        return self.authorization if login is None or login.method != method.name else fixed_authorization(self.integration.auth)


def with_customer(integration: Integration, reason: str) -> str:
    """Return the reason with its customer: operators look for the row."""
    return f"customer {integration.customer}: {reason}" if integration.customer else reason


@dataclass(frozen=True, slots=True, eq=False)
class ConnectionDeps:
    """The parts that all connections share."""

    clients: Mapping[str, HaloClient]
    shutdown: ShutdownGate
    evaluator: Evaluator
    metrics: Metrics
    clock: Clock
    contexts: dict[tuple[str | None, ...], ssl.SSLContext] = field(default_factory=dict)
    """TLS contexts, by their files: each takes a megabyte, and milliseconds to make."""

    def tls_of(self, integration: Integration) -> ssl.SSLContext:
        """Return the TLS context of an integration. Raises `ConfigError` for unusable files."""
        named = (integration.ca_file, integration.cert_file, integration.key_file)
        if named not in self.contexts:
            self.contexts[named] = tls_context(f"integration {integration.name}", *named)
        return self.contexts[named]


@asynccontextmanager
async def open_connection(integration: Integration, shared: ConnectionDeps) -> AsyncIterator[ApiConnection]:
    """Open a connection, without a socket yet. Raises `ConfigError` for an invalid address or authorization."""
    origin = http_url(integration, "base_url", integration.base_url).origin()
    guard = guard_of(origin, integration.allow_hosts)
    async with AsyncExitStack() as stack:
        if integration.auth.type == "halo":
            access = halo_access(integration, shared.clients, origin)
            send = await stack.enter_async_context(open_with_client(access, origin, guard))
            yield ApiConnection(integration, origin, send, TokenAuthorization(access.auth, access.shutdown, access.budget))
            return
        send = await stack.enter_async_context(open_guarded(origin, guard, shared.tls_of(integration), integration.proxy))
        match integration.auth.type:
            case "oauth2":
                authorization: Authorization = await stack.enter_async_context(open_oauth2(integration, shared))
            case "login":
                authorization = await stack.enter_async_context(open_login(integration, send, shared))
            case _:
                authorization = check_authorization(integration, fixed_authorization(integration.auth))
        yield ApiConnection(integration, origin, send, authorization)


@asynccontextmanager
async def open_with_client(access: SharedAccess, origin: URL, guard: AddressGuard) -> AsyncIterator[Send]:
    """Open with the TLS, the headers and the proxy of the Halo client. Its host counts as listed: a self-hosted Halo is often on a private address."""
    proxy = access.client.proxy
    guard = replace(guard, allowed=guard.allowed | {(guard.host, guard.port)})
    sockets = socket_guard(guard, proxy).new_socket
    async with open_transport(replace(access.client, timeout=CONNECTION_TIMEOUT), MAX_RESPONSE_BYTES, sockets) as send:
        yield guarded(send, origin, guard if proxy is not None else None)


@asynccontextmanager
async def open_oauth2(integration: Integration, shared: ConnectionDeps) -> AsyncIterator[TokenAuthorization]:
    """Open the auth manager for a token endpoint. The guard also checks the address of that endpoint."""
    name, auth = integration.name, integration.auth
    address = token_address(str(http_url(integration, "token_url", auth.token_url or "")))

    async def find_address() -> TokenAddress:
        return address

    origin = address.url.origin()
    async with open_guarded(origin, guard_of(origin, integration.allow_hosts), shared.tls_of(integration), integration.proxy) as send:
        endpoint = TokenEndpoint(name, find_address, send, TOKEN_TIMEOUT, Budget(name, None, shared.clock), shared.metrics, shared.clock)
        async with manager(integration.title, GrantSource(grant_of(auth), endpoint), shared) as tokens:
            yield TokenAuthorization(tokens, shared.shutdown)


@asynccontextmanager
async def open_login(integration: Integration, send: Send, shared: ConnectionDeps) -> AsyncIterator[TokenAuthorization]:
    """Open the auth manager for a login by a method of the integration."""
    login = integration.auth.login
    if login is None or login.method not in integration.methods:
        raise integration_error(integration, "auth names no method that logs in")
    if problem := header_problem(login.header, login.prefix):
        raise integration_error(integration, f"auth cannot be sent: {problem}")
    source = LoginSource(integration, login, send, shared.evaluator, shared.metrics)
    async with manager(integration.title, source, shared) as tokens:
        yield TokenAuthorization(tokens, shared.shutdown, header=login.header, prefix=login.prefix)


@asynccontextmanager
async def manager(name: str, source: TokenSource, shared: ConnectionDeps) -> AsyncIterator[AuthManager]:
    tokens = AuthManager(name, source, shared.clock)
    try:
        yield tokens
    finally:
        await tokens.close()


def grant_of(auth: IntegrationAuth) -> Grant:
    return Grant(
        auth.grant,
        auth.client_id or "",
        auth.client_secret,
        auth.username,
        auth.password,
        auth.scopes,
        auth.parameters,
        auth.client_auth,
        auth.private_key,
        auth.key_id,
        auth.algorithm,
        auth.assertion_audience,
    )


def halo_access(integration: Integration, clients: Mapping[str, HaloClient], origin: URL) -> SharedAccess:
    """Return the shared access of the Halo client. Its token goes to its own host only."""
    client = clients.get(integration.auth.client or "")
    if client is None:
        raise integration_error(integration, f"there is no client {integration.auth.client!r} to take the token from")
    definition = client.access.client
    if origin not in {URL(known).origin() for known in (definition.url, api_address(definition)) if known}:
        raise integration_error(integration, f"with the token of client {client.name} its base_url must be on that client's own host")
    return client.access


def check_authorization(integration: Integration, authorization: FixedAuthorization) -> FixedAuthorization:
    for name, value in authorization.headers.items():
        if header_problem(name, ""):
            raise integration_error(integration, f"auth cannot use the header {name!r}")
        if CONTROL_CHARACTERS.search(value):
            raise integration_error(integration, "the secret of auth contains a line break or another control character")
    return authorization


def http_url(integration: Integration, member: str, text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host or url.raw_user is not None or url.raw_password is not None:
        raise integration_error(integration, f"{member} must be an http or https address without credentials")
    return url


def integration_error(integration: Integration, what: str) -> ConfigError:
    return ConfigError([Problem("", 0, 0, f"integration {integration.title}: {what}")])
