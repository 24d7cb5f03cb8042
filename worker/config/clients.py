"""Clients: the Halo tenants that the worker calls, and its credentials there."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from yarl import URL

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.errors import NotOpenApi
from worker.catalogue.tenant import MAX_BYTES, parse_openapi
from worker.config.addresses import TWICE
from worker.config.config_node import ConfigNode
from worker.config.definition import Definition, build, mistake
from worker.config.hosts import NO_NAME, is_host
from worker.config.references import References
from worker.config.routes import Client, Grant, RateLimit
from worker.config.value_types import Duration, Text, seconds
from worker.core.header_names import HEADER
from worker.core.text_files import UnreadableFile, read_regular
from worker.core.url_credentials import is_encoded

RATE = re.compile(r"(\d{1,9})/(.+)")
DOUBLED = re.compile(r"\.halo\w+\.com\.halo\w+\.com$")
OWN_HEADERS = frozenset(("host", "content-length", "content-type", "transfer-encoding", "authorization", "connection", "accept-encoding"))


def proxy_address(value: str) -> str:
    """Return an http or https address; it may hold credentials."""
    return address(value, credentials=True)


def token_address(value: str) -> str:
    """Return the address like `address`; it may have a query, as OAuth2 allows."""
    return address(value, query=True)


def address(value: str, *, credentials: bool = False, query: bool = False) -> str:
    """Return an http or https address without its last slash; without a query unless `query`; never with a fragment."""
    try:
        url = URL(value.strip())
        host, port = url.raw_host, url.port
    except ValueError:
        host = port = None
        url = URL()
    if url.scheme not in {"http", "https"} or not host or port is None:
        raise mistake(f"must be an address such as {'http://proxy:3128' if credentials else 'https://acme.haloitsm.com'}")
    if TWICE.match(value.strip()):
        raise mistake("begins with a scheme twice: write `https://` once")
    if not is_host(host):
        raise mistake(NO_NAME)
    hidden = "@" in value and not is_encoded(value.strip())  # yarl may read part of a password as the host or path
    if credentials and hidden:
        raise mistake("must have special characters in its user name and password percent-encoded, such as %40 for @ and %2F for /")
    if not credentials and (hidden or url.user is not None or url.password is not None):
        raise mistake("must not hold a user name or password; write credentials under `auth`")
    if (url.query_string and not query) or url.fragment:
        tenant = "; write the tenant as `tenant: …`" if not query and "tenant" in url.query else ""
        raise mistake(f"must not hold a {'' if query else 'query (`?…`) or '}fragment (`#…`){tenant}")
    if DOUBLED.search(host):
        raise mistake("holds Halo's domain twice; it is the address in the browser, such as https://acme.halopsa.com")
    return str(url) if url.query_string else str(url).rstrip("/")


def rate_limit(value: Any) -> RateLimit | None:
    """Parse a rate limit such as `700/5m`; None for `none`."""
    if value == "none":
        return None
    found = RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise mistake("must be a number of requests and a time, such as 700/5m, or none")
    period = seconds(found[2])
    if int(found[1]) < 1 or period <= 0:
        raise mistake("needs at least one request and a period longer than 0s")
    return RateLimit(int(found[1]), period)


def header_names(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not HEADER.fullmatch(name):
            raise mistake(f"`{name}` cannot be the name of a header")
        if name.lower() in OWN_HEADERS:
            raise mistake(f"`{name}` must be left out: the worker sets it")
        if re.search(r"[\r\n\x00]", text):
            raise mistake(f"the value of `{name}` holds a line break")
    return value


Address = Annotated[str, AfterValidator(address), WithJsonSchema({"type": "string", "examples": ["https://acme.haloitsm.com"]})]
TokenAddress = Annotated[str, AfterValidator(token_address), WithJsonSchema({"type": "string", "examples": ["https://acme.haloitsm.com/auth/token"]})]
Proxy = Annotated[str, AfterValidator(proxy_address), WithJsonSchema({"type": "string", "examples": ["http://proxy:3128"]})]
Rate = Annotated[
    RateLimit | None,
    BeforeValidator(rate_limit),
    WithJsonSchema({"type": "string", "pattern": r"^(none|\d+/\d+(ms|s|m|h|d)|\$\{.+\})$", "examples": ["700/5m", "none"]}),
]
Scopes = Annotated[list[Text], Field(min_length=1)]


class ClientCredentials(Definition):
    """The worker acts as the agent of the API application."""

    type: Literal["client_credentials"] = Field(description="The OAuth grant.")
    client_id: Text = Field(description="Client ID of the API application in Halo.")
    client_secret: Text = Field(description="Its secret; write ${NAME} or ${file:NAME}.")
    scopes: Scopes = Field(default=["all"], description="Requested permissions.")


class Password(Definition):
    """The worker acts as the agent who owns the user name."""

    type: Literal["password"] = Field(description="The OAuth grant.")
    client_id: Text = Field(description="Client ID of the API application in Halo.")
    client_secret: Text | None = Field(default=None, description="Its secret, where it has one; write ${NAME} or ${file:NAME}.")
    username: Text = Field(description="The agent's user name.")
    password: Text = Field(description="The agent's password; write ${NAME} or ${file:NAME}.")
    scopes: Scopes = Field(default=["all"], description="Requested permissions.")


Auth = Annotated[ClientCredentials | Password, Field(discriminator="type")]


class ClientDefinition(Definition):
    """One Halo tenant and the application that calls it."""

    url: Address | None = Field(default=None, description="The address of Halo; the worker discovers the addresses of the API and of tokens there.")
    api_url: Address | None = Field(default=None, description="The address of the API, instead of the discovered one.")
    token_url: TokenAddress | None = Field(
        default=None, description="The address that issues tokens, instead of the discovered one; `tenant` in its query is the client's tenant."
    )
    tenant: Text | None = Field(default=None, description="The tenant's name, where several share one address.")
    auth: Auth = Field(description="The worker's credentials.")
    openapi: Text | None = Field(
        default=None,
        description="The tenant's own OpenAPI file, relative to the route files; `check` takes entities and parameters from it instead of the built-in catalogue.",
    )
    rate_limit: Rate = Field(
        default_factory=RateLimit,
        description="Maximum requests in any period of this length; `none` for Halo on your own servers.",
        json_schema_extra={"default": "700/5m"},
    )
    timeout: Duration = Field(default=30.0, description="Maximum duration of one request.")
    ca_file: Text | None = Field(default=None, description="A PEM file of trusted certificates.")
    proxy: Proxy | None = Field(default=None, description="An HTTP proxy for requests to Halo; its address may hold credentials.")
    headers: Annotated[dict[str, Text], AfterValidator(header_names)] = Field(default={}, description="Further headers for every request.")


def compile_client(definition: ClientDefinition, node: ConfigNode, _references: References) -> Client:
    both = all(getattr(definition, name) is not None or name in node for name in ("api_url", "token_url"))  # also if they have errors
    if definition.url is None and not both and "url" not in node:
        node.add_key_error("a client needs `url`, or both `api_url` and `token_url`")
    token_url, tenant = without_tenant(definition.token_url)
    if tenant and definition.tenant and tenant != definition.tenant:
        node.child("token_url").add_error("`token_url` names another tenant than `tenant`: leave one of them out")
    return build(
        Client,
        definition,
        name=node.name,
        grant=build(Grant, definition.auth),
        token_url=token_url,
        tenant=definition.tenant or tenant,
        catalogue=read_catalogue(definition.openapi, node),
    )


def without_tenant(token_url: str | None) -> tuple[str | None, str | None]:
    """Return the address without `tenant` in its query, and the tenant: clients of one tenant share a rate limit."""
    if token_url is None or not (tenant := URL(token_url).query.get("tenant")):
        return token_url, None
    return str(URL(token_url).without_query_params("tenant")), tenant


def read_catalogue(openapi: str | None, node: ConfigNode) -> Catalogue | None:
    """Return the catalogue of the tenant's OpenAPI file; None without a file, and after an error."""
    if openapi is None:
        return None
    try:
        return parse_openapi(read_regular(node.file.folder / openapi, MAX_BYTES))
    except (UnreadableFile, NotOpenApi) as error:
        node.child("openapi").add_error(f"the file `{openapi}` {error}")
        return None
