"""Compiles how an integration's API knows us, and how those who call us prove who they are."""

from __future__ import annotations

from worker.config.automation import CallerAuth, IntegrationAuth
from worker.config.config_node import ConfigNode
from worker.config.doors import check_secrets
from worker.config.models.callers import CallerAuthDefinition, CallerBasic
from worker.config.models.clients import HEADER
from worker.config.models.integrations import ApiKeyAuth, BasicAuth, BearerAuth, HaloAuth, IntegrationAuthDefinition, NoAuth, OAuth2Auth
from worker.core.errors import Problem

CONNECTION_HEADERS = frozenset(
    ("host", "content-length", "content-encoding", "transfer-encoding", "connection", "proxy-connection", "keep-alive", "te", "trailer", "upgrade", "expect")
)


def compile_auth(auth: IntegrationAuthDefinition, node: ConfigNode, problems: list[Problem]) -> IntegrationAuth:
    """The flat form; `node` is the place of `auth`."""
    match auth:
        case NoAuth():
            return IntegrationAuth()
        case BasicAuth():
            return IntegrationAuth("basic", username=auth.username, password=auth.password)
        case BearerAuth():
            return IntegrationAuth("bearer", token=auth.token)
        case ApiKeyAuth():
            if auth.place == "header" and (not HEADER.fullmatch(auth.name) or auth.name.lower() in CONNECTION_HEADERS):
                problems.append(node.child("name").problem("`name` cannot be a header that carries a key"))
            return IntegrationAuth("api_key", place=auth.place, name=auth.name, value=auth.value)
        case HaloAuth():
            return IntegrationAuth("halo", client=auth.client)
        case OAuth2Auth():
            check_grant(auth, node, problems)
            return IntegrationAuth(
                "oauth2",
                username=auth.username,
                password=auth.password,
                grant=auth.grant,
                token_url=auth.token_url,
                client_id=auth.client_id,
                client_secret=auth.client_secret,
                scopes=tuple(auth.scopes),
            )


def check_grant(auth: OAuth2Auth, node: ConfigNode, problems: list[Problem]) -> None:
    """What each grant needs, and what it does not know."""
    needed = ("username", "password") if auth.grant == "password" else ("client_secret",)
    problems.extend(node.key_problem(f"`{name}` is missing: the grant {auth.grant} needs it") for name in needed if getattr(auth, name) is None)
    foreign = () if auth.grant == "password" else ("username", "password")
    told = "`{}` is for the grant password"
    problems.extend(node.child(name).key_problem(told.format(name)) for name in foreign if getattr(auth, name) is not None)


def compile_caller(auth: CallerAuthDefinition, node: ConfigNode, problems: list[Problem]) -> CallerAuth:
    """The flat form; `node` is the place of `auth`."""
    check_secrets(auth, node, problems)
    if isinstance(auth, CallerBasic):
        return CallerAuth("basic", username=auth.username, password=auth.password)
    if auth.secret is not None and auth.secrets is not None:
        problems.append(node.child("secrets").key_problem("both `secret` and `secrets` are given: write one of them"))
    elif auth.secret is None and auth.secrets is None:
        problems.append(node.key_problem("`secret` is missing"))
    return CallerAuth(
        "signature",
        header=auth.header,
        secrets=tuple(auth.secrets or ()) if auth.secret is None else (auth.secret,),
        algorithm=auth.algorithm,
        digest=auth.digest,
        prefix=auth.prefix,
    )
