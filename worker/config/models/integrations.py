"""Custom integrations: the address of an API, how we prove who we are there, and the calls that can be made."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from yarl import URL

from worker.config.hosts import host_entry, numeric
from worker.config.models.base import DURATION_SCHEMA, Definition, Parameters, Text, mistake, positive_seconds

LONGEST_CALL = 600.0


def call_seconds(value: Any) -> float:
    """How long a call may take: a message is in hand meanwhile, and the broker waits for its end."""
    parsed = positive_seconds(value)
    if parsed > LONGEST_CALL:
        raise mistake("is longer than 10m, the longest that a call may take")
    return parsed


def api_address(value: str) -> str:
    """An http or https address without credentials, query or fragment, and without its last slash."""
    try:
        url = URL(value.strip())
        host, port = url.raw_host, url.port
    except ValueError:
        url, host, port = URL(), None, None
    if url.scheme not in {"http", "https"} or not host or port is None:
        raise mistake("must be an address such as https://api.example.com/v1")
    if url.user is not None or url.password is not None:
        raise mistake("must not hold a user name or password; credentials stand under `auth`")
    if url.query_string or url.fragment:
        raise mistake("must not hold a query (`?…`) or fragment (`#…`)")
    if numeric(host):
        raise mistake("has a host that systems read differently: write all four numbers of an address, such as 127.0.0.1")
    return str(url).rstrip("/")


def host_text(value: str) -> str:
    """One entry of `allow_hosts`."""
    try:
        host_entry(value)
    except ValueError as error:
        raise mistake(str(error)) from None
    return value


ApiAddress = Annotated[str, AfterValidator(api_address), WithJsonSchema({"type": "string", "examples": ["https://api.openai.com/v1"]})]
CallTimeout = Annotated[float, BeforeValidator(call_seconds), DURATION_SCHEMA]
Host = Annotated[str, AfterValidator(host_text), WithJsonSchema({"type": "string", "examples": ["intranet.example", "10.0.0.5:8080"]})]
Body = Annotated[Any, WithJsonSchema({"type": ["object", "array", "string", "number", "boolean"]})]
Outputs = dict[str, Text]
BodyKind = Literal["json", "text", "form"]


class NoAuth(Definition):
    """Anybody may call this API."""

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
    """Tokens that are fetched, and renewed before they expire."""

    type: Literal["oauth2"] = Field(description="The kind of authorization.")
    grant: Literal["client_credentials", "password"] = Field(default="client_credentials", description="The OAuth grant.")
    token_url: ApiAddress = Field(description="Where tokens are given.")
    client_id: Text = Field(description="The client ID.")
    client_secret: Text | None = Field(default=None, description="Its secret; write ${NAME} or ${file:NAME}.")
    username: Text | None = Field(default=None, description="The user name, for the password grant.")
    password: Text | None = Field(default=None, description="The password, for the password grant; write ${NAME} or ${file:NAME}.")
    scopes: list[Text] = Field(default=[], description="Permissions to ask for.")


class HaloAuth(Definition):
    """Halo itself, called with the token of one of the clients and within its budget."""

    type: Literal["halo"] = Field(description="The kind of authorization.")
    client: Text = Field(description="The client whose token is used.")


IntegrationAuthDefinition = Annotated[NoAuth | BasicAuth | BearerAuth | ApiKeyAuth | OAuth2Auth | HaloAuth, Field(discriminator="type")]


class MethodDefinition(Definition):
    """One call of the API. Path, query, headers and body may hold <<Name>> and {{ JSONata }}."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(description="The HTTP method.")
    path: Text = Field(description="What follows the base URL; a variable makes one segment or a part of one, as {name} or <<Name>>.", examples=["/users/{id}"])
    query: Parameters = Field(default={}, description="Query parameters; null leaves one out.")
    headers: Parameters = Field(default={}, description="Headers, besides those of the authorization.")
    body: Body = Field(default=None, description="What is sent: a mapping or list as JSON, a text as it is; one whole <<Name>> or {{ … }} as JSON.")
    body_kind: BodyKind | None = Field(default=None, description="How the body is sent, where its shape does not tell; `form`: as the fields of a form.")
    timeout: CallTimeout = Field(default=30.0, description="How long the call may take, at most 10m.")
    output: Outputs = Field(default={}, description="Variables of the answer, in Halo's grammar.", examples=[{"Text": "response^choices[0]^message^content!"}])


class IntegrationDefinition(Definition):
    """A custom integration: an API with its methods."""

    base_url: ApiAddress | None = Field(
        default=None, description="The address that the paths of the methods follow; for `auth: {type: halo}` the client's API by default."
    )
    auth: IntegrationAuthDefinition = Field(default=NoAuth(type="none"), description="How the worker proves who it is.")
    allow_hosts: list[Host] = Field(default=[], description="Hosts that may be called although they are private or not the base URL's, as host or host:port.")
    methods: Annotated[dict[str, MethodDefinition], Field(min_length=1)] = Field(description="The calls, by name.")
