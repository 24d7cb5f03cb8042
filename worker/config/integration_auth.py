"""The authorization of an integration: the members of `auth`, and the requirements of each kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from worker.config.addresses import TokenUrl, check_address
from worker.config.automation import IntegrationAuth
from worker.config.config_node import ConfigNode
from worker.config.definition import Definition, build, compile_members, mistake
from worker.config.integration_parts import ClientAuth, Login
from worker.config.references import References, check_reference
from worker.config.signing_keys import Algorithm, check_private_key
from worker.config.value_types import Text, VariableText
from worker.config.variables import ROOTS, parse_variable
from worker.core.header_names import HEADER, is_connection_header

OWN_FIELDS = frozenset(
    ("grant_type", "client_id", "client_secret", "client_assertion", "client_assertion_type", "username", "password", "scope", "refresh_token", "code")
)
SENDABLE = re.compile(r"[\x20-\x7e]*")


def token_parameters(value: dict[str, str]) -> dict[str, str]:
    """Further fields of a token request."""
    for name in value:
        if not name.strip() or name.lower() in OWN_FIELDS:
            raise mistake(f"must not hold `{name}`: the worker sets it")
    return value


def token_prefix(value: str) -> str:
    if not SENDABLE.fullmatch(value):
        raise mistake("must be printable ASCII text")
    return value


class NoAuth(Definition):
    """An API that needs no authorization, or a method that sets it with a variable of the run."""

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
    client_auth: ClientAuth = Field(
        default="client_secret_post",
        description="How the application proves itself: its secret in the body or as basic authorization, a signed assertion, or the certificate of `cert_file`.",
    )
    private_key: Text | None = Field(default=None, description="The PEM key that signs assertions; write ${file:NAME}.")
    key_id: Text | None = Field(default=None, description="The ID of the key at the authorization server (`kid`).")
    algorithm: Algorithm = Field(default="RS256", description="The algorithm of the signature.")
    assertion_audience: Text | None = Field(default=None, description="The audience of the assertion; default: `token_url` without its query.")
    parameters: Annotated[dict[str, Text], AfterValidator(token_parameters)] = Field(
        default={}, description="Further fields of each token request, such as `audience` and `resource`."
    )
    username: Text | None = Field(default=None, description="The user name, for the password grant.")
    password: Text | None = Field(default=None, description="The password, for the password grant; write ${NAME} or ${file:NAME}.")
    scopes: list[Text] = Field(default=[], description="Requested permissions.")


class LoginAuth(Definition):
    """A method of the integration gives the token; the worker calls it when it needs one, once for all, and again after a 401."""

    type: Literal["login"] = Field(description="The kind of authorization.")
    method: Text = Field(
        description="The method of this integration that logs in: `login` or `erp.login`. It is sent without the token and uses no variables of a run."
    )
    token: VariableText = Field(
        description="Where its answer holds the token: `response^…`, `headers^…` or `cookies^…`.", examples=["response^token!", "cookies^JSESSIONID!"]
    )
    expires_in: VariableText | None = Field(
        default=None, description="Where its answer holds the token's life in seconds; default: `response^expires_in`, and without one until a 401."
    )
    header: Text = Field(default="Authorization", description="The header that carries the token.", examples=["X-Auth-Token", "Cookie"])
    prefix: Annotated[str, AfterValidator(token_prefix)] = Field(
        default="Bearer ", description="Text before the token; default: `Bearer `, and none in other headers.", examples=["Token ", "JSESSIONID="]
    )
    username: Text | None = Field(default=None, description="A user name that the login sends as basic authorization.")
    password: Text | None = Field(default=None, description="Its password; write ${NAME} or ${file:NAME}.")


class HaloAuth(Definition):
    """Halo itself, called with the token of one of the clients and within its budget."""

    type: Literal["halo"] = Field(description="The kind of authorization.")
    client: Text = Field(description="The client whose token is used.")


IntegrationAuthDefinition = Annotated[NoAuth | BasicAuth | BearerAuth | ApiKeyAuth | OAuth2Auth | LoginAuth | HaloAuth, Field(discriminator="type")]
Hosts = tuple[tuple[str, int | None], ...]


def compile_auth(auth: IntegrationAuthDefinition, node: ConfigNode, methods: Mapping[str, object], hosts: Hosts, references: References) -> IntegrationAuth:
    match auth:
        case HaloAuth():
            check_reference(auth.client, "client", references.names("clients"), node.child("client"))
        case ApiKeyAuth():
            if auth.place == "header":
                check_header(auth.name, node.child("name"), "`name` cannot be a header that carries a key")
        case OAuth2Auth():
            check_grant(auth, node)
            check_address(auth.token_url, node, "token_url", hosts)
        case LoginAuth():
            return IntegrationAuth("login", auth.username, auth.password, login=compile_login(auth, node, methods))
        case NoAuth() | BasicAuth() | BearerAuth():
            pass
    return build(IntegrationAuth, auth)


def check_header(name: str, node: ConfigNode, message: str) -> None:
    if not HEADER.fullmatch(name) or is_connection_header(name):
        node.add_error(message)


def check_grant(auth: OAuth2Auth, node: ConfigNode) -> None:
    """Check the members that each grant and each client authentication needs, and refuse members of the others."""
    needed = {"username", "password"} if auth.grant == "password" else set()
    signed = auth.client_auth == "private_key_jwt"
    needed |= {"private_key"} if signed else set()
    secret = auth.client_auth == "client_secret_basic" or (auth.client_auth == "client_secret_post" and auth.grant != "password")
    needed |= {"client_secret"} if secret else set()
    for name in sorted(needed):
        if getattr(auth, name) is None:
            what = (
                f"grant {auth.grant}" if name in {"username", "password"} or auth.client_auth == "client_secret_post" else f"`client_auth` {auth.client_auth}"
            )
            node.add_key_error(f"`{name}` is missing: the {what} needs it")
    for name in () if auth.grant == "password" else ("username", "password"):
        if getattr(auth, name) is not None:
            node.child(name).add_key_error(f"`{name}` is for the grant password")
    for name in () if signed else ("private_key", "key_id", "algorithm", "assertion_audience"):
        if name in node:
            node.child(name).add_key_error(f"`{name}` is for `client_auth: private_key_jwt`")
    if not auth.client_auth.startswith("client_secret") and auth.client_secret is not None:
        node.child("client_secret").add_key_error(f"`client_secret` is not sent with `client_auth: {auth.client_auth}`: leave it out")
    if signed and auth.private_key is not None:
        check_private_key(auth.private_key, auth.algorithm, node.child("private_key"))


def compile_login(auth: LoginAuth, node: ConfigNode, methods: Mapping[str, object]) -> Login | None:
    """Compile a login; None after errors that leave no login."""
    method = auth.method.removeprefix(f"{node.path[1]}.")
    check_reference(method, "method", sorted(methods), node.child("method"))
    check_header(auth.header, node.child("header"), "`header` cannot be a header that carries a token")
    if (auth.username is None) != (auth.password is None):
        node.add_key_error("`username` and `password` belong together: write both, or neither")
    compiled = compile_members(LoginAuth, node)
    token, expires_in = compiled["token"], compiled["expires_in"] or parse_variable("response^expires_in")
    for name, path in (("token", token), ("expires_in", expires_in)):
        if path is not None and path.root in {ROOTS[1], "status"}:
            node.child(name).add_error(f"`{name}` must begin with `response`, `headers` or `cookies`")
    if token is None:
        return None
    bare = auth.header.lower() != "authorization" and "prefix" not in node
    return Login(method, token, expires_in, auth.header, "" if bare else auth.prefix)
