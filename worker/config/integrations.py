"""Compiles the definition of an integration."""

from __future__ import annotations

import re

from yarl import URL

from worker.config.auths import CONNECTION_HEADERS, compile_auth
from worker.config.automation import Integration, Method, RunTemplate
from worker.config.config_node import ConfigNode
from worker.config.hosts import allowed, host_entry, local
from worker.config.method_paths import compile_path
from worker.config.models.clients import HEADER
from worker.config.models.integrations import BodyKind, IntegrationDefinition, MethodDefinition
from worker.config.outputs import variables
from worker.config.parameters import members_of
from worker.config.references import References, check_reference
from worker.config.routes import Client
from worker.config.run_templates import compile_run_template, references
from worker.config.template_lexer import Literal, Unclosed, whole
from worker.core.errors import ConfigError, Problem

METHOD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
CREDENTIALS = frozenset(("authorization", "proxy-authorization", "cookie"))


def compile_integration(name: str, definition: IntegrationDefinition, node: ConfigNode, references: References, problems: list[Problem]) -> Integration:
    """After problems it is not to be used, but tells which methods there are."""
    auth = compile_auth(definition.auth, node.child("auth"), problems)
    client = references.clients.get(auth.client or "")
    if auth.client is not None:
        check_reference(auth.client, "client", references.names("clients"), node.child("auth").child("client"), problems)
    hosts = tuple(host_entry(text) for text in definition.allow_hosts)
    base_url = definition.base_url or (default_address(client) if client else "")
    check_address(base_url, node, "base_url", hosts, problems)
    if auth.token_url is not None:
        check_address(auth.token_url, node.child("auth"), "token_url", hosts, problems)
    if definition.base_url is None and auth.type != "halo" and "base_url" not in node:
        problems.append(node.key_problem("`base_url` is missing"))
    if client is not None and definition.base_url is not None:
        check_halo(definition.base_url, client, node.child("base_url"), problems)
    methods = {method: compile_method(name, method, found, node.child("methods").child(method), problems) for method, found in definition.methods.items()}
    return Integration(name=name, base_url=base_url, auth=auth, methods=methods, allow_hosts=hosts)


def default_address(client: Client) -> str:
    return client.api_url or f"{client.url}/api"


def check_address(address: str, holder: ConfigNode, member: str, hosts: tuple[tuple[str, int | None], ...], problems: list[Problem]) -> None:
    """An internal address that is written out has to be meant; what a name leads to is seen when it is called."""
    url = URL(address)
    host = url.raw_host or ""
    if local(host) and not allowed(host, url.port, hosts):
        node = holder.child(member) if member in holder else holder
        problems.append(node.problem(f"`{member}` leads to `{host}`, which is not on the public internet: name it under `allow_hosts` if that is meant"))


def check_halo(address: str, client: Client, node: ConfigNode, problems: list[Problem]) -> None:
    """A token of Halo goes to Halo only."""
    own = [URL(known).origin() for known in (client.url, client.api_url) if known]
    if own and URL(address).origin() not in own:
        told = " or ".join(sorted({str(origin) for origin in own}))
        problems.append(node.problem(f"the token of the client `{client.name}` goes only to its own host: {told}"))


def compile_method(integration: str, name: str, definition: MethodDefinition, node: ConfigNode, problems: list[Problem]) -> Method:
    if not METHOD_NAME.fullmatch(name):
        problems.append(node.key_problem(f"`{name}` cannot be the name of a method: letters, digits, `_` and `-`, beginning with a letter or digit"))
    if definition.method == "GET" and definition.body is not None:
        problems.append(node.child("body").key_problem("a GET sends no `body`: use `query`, or another method"))
    headers = compile_headers(node.child("headers"), problems)
    body = run_template(node.child("body"), problems) if definition.body is not None else None
    kind = body_kind(definition, node, problems)
    if kind == "text" and looks_like_json(definition.body) and not any(header.lower() == "content-type" for header in headers):
        headers["Content-Type"] = compile_run_template("application/json")
    return Method(
        name=name,
        integration=integration,
        verb=definition.method,
        path=compile_path(node.child("path"), problems),
        query={key: run_template(node.child("query").child(key), problems) for key in definition.query},
        headers=headers,
        body=body,
        body_kind=kind,
        timeout=definition.timeout,
        output=variables(node.child("output"), problems),
    )


def compile_headers(node: ConfigNode, problems: list[Problem]) -> dict[str, RunTemplate]:
    found: dict[str, RunTemplate] = {}
    for name in members_of(node):
        place, lower = node.child(name), name.lower()
        if lower in CREDENTIALS:
            problems.append(place.key_problem(f"`{name}` belongs to the authorization: write it under `auth` (api_key takes any header)"))
        elif lower in CONNECTION_HEADERS:
            problems.append(place.key_problem(f"`{name}` is set by the worker"))
        elif not HEADER.fullmatch(name):
            problems.append(place.key_problem(f"`{name}` cannot be the name of a header"))
        elif any(lower == other.lower() for other in found):
            problems.append(place.key_problem(f"`{name}` is given twice"))
        else:
            found[name] = run_template(place, problems)
    return found


def body_kind(definition: MethodDefinition, node: ConfigNode, problems: list[Problem]) -> BodyKind:
    """How the body is sent, by what it is where nothing is said."""
    body, said = definition.body, definition.body_kind
    if said is not None and body is None:
        problems.append(node.child("body_kind").key_problem("`body_kind` is given without a `body`"))
    if said == "form" and not (isinstance(body, dict) and not any(isinstance(value, (dict, list)) for value in body.values())):
        problems.append(node.child("body").problem("a form is a mapping from names to texts, numbers, true or false"))
    if said == "text" and not isinstance(body, str):
        problems.append(node.child("body").problem("`body_kind: text` needs a text; put it in quotes or behind `|`"))
    return said or ("text" if isinstance(body, str) and not is_alone(body) else "json")


def is_alone(text: str) -> bool:
    """Whether a text is one variable or expression, which keeps its type."""
    try:
        if whole(text) is not None:
            return True
        return len(references(Literal(text.strip(), 0))) == 1 and text.strip().startswith("<<")
    except Unclosed:
        return False


def looks_like_json(body: object) -> bool:
    return isinstance(body, str) and body.lstrip()[:1] in {"{", "["} and not body.lstrip().startswith("{{")


def run_template(node: ConfigNode, problems: list[Problem]) -> RunTemplate:
    """The compiled value of a node; after problems, one that yields nothing."""
    try:
        return compile_run_template(node.value, node)
    except ConfigError as error:
        problems.extend(error.problems)
        return compile_run_template(None)
