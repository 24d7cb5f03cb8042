"""Integrations: the address of an API, the worker's credentials there, and the methods that runbooks call."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from yarl import URL

from worker.config.automation import Integration, IntegrationAuth
from worker.config.config_node import ConfigNode
from worker.config.definition import Definition, build, mistake
from worker.config.hosts import allowed, host_entry, local, numeric
from worker.config.methods import CONNECTION_HEADERS, MethodDefinition, compile_method
from worker.config.references import References, check_reference
from worker.config.routes import Client
from worker.config.value_types import HEADER, Text


def token_address(value: str) -> str:
    """As `api_address`; it may have a query, as OAuth2 allows."""
    return api_address(value, query=True)


def api_address(value: str, *, query: bool = False) -> str:
    """An http or https address without credentials, fragment and, unless `query`, query, and without its last slash."""
    try:
        url = URL(value.strip())
        host, port = url.raw_host, url.port
    except ValueError:
        url, host, port = URL(), None, None
    if url.scheme not in {"http", "https"} or not host or port is None:
        raise mistake("must be an address such as https://api.example.com/v1")
    if url.user is not None or url.password is not None:
        raise mistake("must not hold a user name or password; write credentials under `auth`")
    if (url.query_string and not query) or url.fragment:
        raise mistake(f"must not hold a {'' if query else 'query (`?…`) or '}fragment (`#…`)")
    if numeric(host):
        raise mistake("has an ambiguous host: write all four numbers of an address, such as 127.0.0.1")
    return str(url) if url.query_string else str(url).rstrip("/")


def host_text(value: str) -> str:
    """One entry of `allow_hosts`."""
    try:
        host_entry(value)
    except ValueError as error:
        raise mistake(str(error)) from None
    return value


ApiAddress = Annotated[str, AfterValidator(api_address), WithJsonSchema({"type": "string", "examples": ["https://api.openai.com/v1"]})]
TokenUrl = Annotated[str, AfterValidator(token_address), WithJsonSchema({"type": "string", "examples": ["https://login.example.com/oauth/token"]})]
Host = Annotated[str, AfterValidator(host_text), WithJsonSchema({"type": "string", "examples": ["intranet.example", "10.0.0.5:8080"]})]


class NoAuth(Definition):
    """An API that needs no authorization."""

    type: Literal["none"] = Field(description="The kind of authorization.")


class BasicAuth(Definition):
    """A user name and password with each call."""

    type: Literal["basic"] = Field(description="The kind of authorization.")
    username: Text = Field(description="The user name.")
    password: Text = Field(description="The password; write ${NAME} or ${file:NAME}.")


class BearerAuth(Definition):
    """A token that does not change."""

    type: Literal["bearer"] = Field(description="The kind of authorization.")
    token: Text = Field(description="The token, without the word Bearer; write ${NAME} or ${file:NAME}.")


class ApiKeyAuth(Definition):
    """A key in a header or a query parameter."""

    type: Literal["api_key"] = Field(description="The kind of authorization.")
    place: Literal["header", "query"] = Field(default="header", alias="in", description="Where the key goes.")
    name: Text = Field(description="The header or query parameter.", examples=["X-Api-Key"])
    value: Text = Field(description="The key; write ${NAME} or ${file:NAME}.")


class OAuth2Auth(Definition):
    """The worker fetches tokens, and renews them before they expire."""

    type: Literal["oauth2"] = Field(description="The kind of authorization.")
    grant: Literal["client_credentials", "password"] = Field(default="client_credentials", description="The OAuth grant.")
    token_url: TokenUrl = Field(description="The address that issues tokens; its query is sent with each request for one.")
    client_id: Text = Field(description="The client ID.")
    client_secret: Text | None = Field(default=None, description="Its secret; write ${NAME} or ${file:NAME}.")
    username: Text | None = Field(default=None, description="The user name, for the password grant.")
    password: Text | None = Field(default=None, description="The password, for the password grant; write ${NAME} or ${file:NAME}.")
    scopes: list[Text] = Field(default=[], description="Requested permissions.")


class HaloAuth(Definition):
    """Halo itself, called with the token of one of the clients and within its budget."""

    type: Literal["halo"] = Field(description="The kind of authorization.")
    client: Text = Field(description="The client whose token is used.")


IntegrationAuthDefinition = Annotated[NoAuth | BasicAuth | BearerAuth | ApiKeyAuth | OAuth2Auth | HaloAuth, Field(discriminator="type")]


class IntegrationDefinition(Definition):
    """A custom integration: an API with its methods."""

    base_url: ApiAddress | None = Field(default=None, description="The start of each method's address; default for `auth: {type: halo}`: the client's API.")
    auth: IntegrationAuthDefinition = Field(default=NoAuth(type="none"), description="The worker's credentials.")
    allow_hosts: list[Host] = Field(
        default=[], description="Private or other hosts that the integration may call, as host or host:port; default: only the public host of the base URL."
    )
    trace_context: bool = Field(
        default=False, description="Whether requests carry the W3C trace context (`traceparent`, `tracestate`) where spans are recorded; not for Halo."
    )
    methods: Annotated[dict[str, MethodDefinition], Field(min_length=1)] = Field(description="The calls, by name.")


def compile_integration(definition: IntegrationDefinition, node: ConfigNode, references: References) -> Integration:
    """After errors too, so that runbooks are checked against its methods."""
    auth = definition.auth
    compiled_auth, place = build(IntegrationAuth, auth), node.child("auth")
    hosts = tuple(map(host_entry, definition.allow_hosts))
    client = None
    match auth:
        case HaloAuth():
            client = references.clients.get(auth.client)
            check_reference(auth.client, "client", references.names("clients"), place.child("client"))
        case ApiKeyAuth():
            if auth.place == "header" and (not HEADER.fullmatch(auth.name) or auth.name.lower() in CONNECTION_HEADERS):
                place.child("name").add_error("`name` cannot be a header that carries a key")
        case OAuth2Auth():
            check_grant(auth, place)
            check_address(auth.token_url, place, "token_url", hosts)
        case NoAuth() | BasicAuth() | BearerAuth():
            pass
    base_url = definition.base_url or (default_address(client) if client else "")
    check_address(base_url, node, "base_url", hosts)
    if definition.base_url is None and compiled_auth.type != "halo" and "base_url" not in node:
        node.add_key_error("`base_url` is missing")
    if client is not None and definition.base_url is not None:
        check_halo_address(definition.base_url, client, node.child("base_url"))
    if definition.trace_context and compiled_auth.type == "halo":
        node.child("trace_context").add_error("`trace_context` is for APIs that continue a trace: Halo does not, so leave it out")
    methods = {name: compile_method(method, node.name, node.child("methods").child(name)) for name, method in definition.methods.items()}
    return Integration(name=node.name, base_url=base_url, auth=compiled_auth, methods=methods, allow_hosts=hosts, trace_context=definition.trace_context)


def check_grant(auth: OAuth2Auth, node: ConfigNode) -> None:
    """What each grant needs, and what only the other one knows."""
    for name in ("username", "password") if auth.grant == "password" else ("client_secret",):
        if getattr(auth, name) is None:
            node.add_key_error(f"`{name}` is missing: the grant {auth.grant} needs it")
    for name in () if auth.grant == "password" else ("username", "password"):
        if getattr(auth, name) is not None:
            node.child(name).add_key_error(f"`{name}` is for the grant password")


def default_address(client: Client) -> str:
    return client.api_url or f"{client.url}/api"


def check_address(address: str, holder: ConfigNode, member: str, hosts: tuple[tuple[str, int | None], ...]) -> None:
    """An internal address in a file needs `allow_hosts`; the caller checks what a name resolves to."""
    url = URL(address)
    host = url.raw_host or ""
    if local(host) and not allowed(host, url.port, hosts):
        node = holder.child(member) if member in holder else holder
        node.add_error(f"`{member}` leads to `{host}`, which is not on the public internet: add it to `allow_hosts` if you trust it")


def check_halo_address(address: str, client: Client, node: ConfigNode) -> None:
    """A token of Halo goes to Halo only."""
    own = [URL(known).origin() for known in (client.url, client.api_url) if known]
    if own and URL(address).origin() not in own:
        origins = " or ".join(sorted({str(origin) for origin in own}))
        node.add_error(f"the token of the client `{client.name}` goes only to its own host: {origins}")
