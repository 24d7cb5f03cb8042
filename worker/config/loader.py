"""Reads all route files of a directory and compiles them, or tells everything that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from worker.catalogue.catalogue import Catalogue, load
from worker.config.automation import Integration, Runbook, Webhook
from worker.config.clients import compile_client
from worker.config.config_node import ConfigNode
from worker.config.document import Document
from worker.config.doors import check_doors
from worker.config.integrations import compile_integration
from worker.config.interpolation import Variables
from worker.config.models.clients import ClientDefinition
from worker.config.models.integrations import IntegrationDefinition
from worker.config.models.publishers import PublisherDefinition
from worker.config.models.runbooks import RunbookDefinition
from worker.config.models.subscribers import SubscriberDefinition
from worker.config.models.webhooks import WebhookDefinition
from worker.config.names import check_names, check_queues, check_references
from worker.config.publishers import compile_publisher
from worker.config.references import References
from worker.config.routes import Client, Publisher, Routes, Subscriber
from worker.config.runbooks import compile_runbook
from worker.config.subscribers import compile_subscriber
from worker.config.validation import validated
from worker.config.webhooks import compile_webhook
from worker.config.yaml_text import read_yaml
from worker.core.errors import ConfigError, Problem
from worker.core.known_secrets import KnownSecrets
from worker.core.redaction import is_secret_name
from worker.core.suggest import did_you_mean

KINDS = ("clients", "subscribers", "publishers", "integrations", "runbooks", "webhooks")
"""In the order in which they are compiled: each after those that it refers to."""
SUFFIXES = frozenset((".yaml", ".yml"))


@dataclass(slots=True)
class Loading:
    """What has been compiled so far, and what is wrong."""

    catalogue: Catalogue
    problems: list[Problem] = field(default_factory=list)
    definitions: list[ConfigNode] = field(default_factory=list)
    clients: dict[str, Client] = field(default_factory=dict)
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    publishers: dict[str, Publisher] = field(default_factory=dict)
    integrations: dict[str, Integration] = field(default_factory=dict)
    runbooks: dict[str, Runbook] = field(default_factory=dict)
    webhooks: dict[str, Webhook] = field(default_factory=dict)

    def routes(self) -> Routes:
        return Routes(self.clients, self.subscribers, self.publishers, self.integrations, self.runbooks, self.webhooks)


def load_routes(directory: Path, environment: Mapping[str, str], secrets: Path) -> Routes:
    """All `*.yaml` and `*.yml` files of the directory, compiled. Raises `ConfigError` with every problem of every file."""
    variables = Variables(environment, secrets)
    loading = Loading(load())
    for document in read_documents(directory, loading.problems):
        find_definitions(ConfigNode(document, variables), loading)
    for node in sorted(loading.definitions, key=lambda node: KINDS.index(str(node.path[0]))):
        compile_definition(node, loading)
    check_names(loading.definitions, loading.problems)
    check_references(loading.definitions, loading.problems)
    check_queues(loading.definitions, loading.routes(), loading.problems)
    check_doors(loading.definitions, loading.problems)
    if not loading.problems and not loading.definitions:
        loading.problems.append(Problem(directory.name or str(directory), 0, 0, f"the route files define nothing: write one of {', '.join(KINDS)}"))
    if loading.problems:
        raise ConfigError(cleaned(problem, variables) for problem in loading.problems)
    known = KnownSecrets(credentials(loading, variables))
    return replace(loading.routes(), secrets=known, filled=known.with_more(values_of(loading, variables)))


def credentials(loading: Loading, variables: Variables) -> Iterator[str | None]:
    """What files of secrets hold, variables with the name of a secret, and what stands in the route files where a credential belongs."""
    yield from (value for value, reference in variables.given.items() if reference.startswith("${file:") or is_secret_name(reference))
    for client in loading.clients.values():
        yield from (client.grant.client_secret, client.grant.password, *(text for name, text in client.headers.items() if is_secret_name(name)))
    for integration in loading.integrations.values():
        yield from (integration.auth.password, integration.auth.token, integration.auth.value, integration.auth.client_secret)
    for door in (*(runbook.endpoint for runbook in loading.runbooks.values()), *(webhook.auth for webhook in loading.webhooks.values())):
        if door is not None:
            yield from (door.password, *door.secrets)


def values_of(loading: Loading, variables: Variables) -> Iterator[str]:
    """Everything that was filled in, but for the addresses and hosts of APIs, which are no secrets and stand in many an answer."""
    addresses = {client.url for client in loading.clients.values()} | {integration.base_url for integration in loading.integrations.values()}
    hosts = {host for integration in loading.integrations.values() for host, _ in integration.allow_hosts}
    yield from (value for value in variables.given if value.rstrip("/") not in addresses and value.partition(":")[0].lower() not in hosts)


def read_documents(directory: Path, problems: list[Problem]) -> Iterator[Document]:
    """Each file that can be read, in the order of names."""
    try:
        files = sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))
    except OSError as error:
        problems.append(Problem(str(directory), 0, 0, f"the directory of route files cannot be read: {(error.strerror or 'unknown reason').lower()}"))
        return
    if not files:
        problems.append(Problem(str(directory), 0, 0, "there are no route files (*.yaml) here"))
    for path in files:
        name = str(path.relative_to(directory.parent))
        if path.exists() and not path.is_file():
            problems.append(Problem(name, 0, 0, "it is not a file: a directory, pipe or device cannot be a route file"))
            continue
        try:
            yield read_yaml(path.read_bytes().decode("utf-8-sig"), name)
        except OSError as error:
            problems.append(Problem(name, 0, 0, f"the file cannot be read: {(error.strerror or 'unknown reason').lower()}"))
        except UnicodeDecodeError as error:
            problems.append(Problem(name, 0, 0, f"the file is not UTF-8 text: byte {error.start + 1}"))
        except ConfigError as error:
            problems.extend(error.problems)


def find_definitions(root: ConfigNode, loading: Loading) -> None:
    """Notes every definition of one file."""
    content = root.value
    if content is None:
        return
    if not isinstance(content, dict):
        loading.problems.append(root.problem(f"a route file is a mapping with {', '.join(KINDS)}"))
        return
    for kind, definitions in content.items():
        node = root.child(kind)
        if kind not in KINDS:
            loading.problems.append(node.key_problem(f"unknown key `{kind}`" + (did_you_mean(kind, KINDS) or f"; valid are {', '.join(KINDS)}")))
        elif isinstance(definitions, dict):
            loading.definitions.extend(map(node.child, definitions))
        elif definitions is not None:
            loading.problems.append(node.problem(f"`{kind}` must be a mapping from names to definitions"))


def compile_definition(node: ConfigNode, loading: Loading) -> None:
    """Compiles one definition; what is wrong with one member does not keep the others from being checked."""
    kind, name = str(node.path[0]), str(node.path[1])
    problems, catalogue = loading.problems, loading.catalogue
    if kind == "clients":
        if client := validated(ClientDefinition, node, problems):
            loading.clients[name] = compile_client(name, client, node, problems)
    elif kind == "subscribers":
        if (subscriber := validated(SubscriberDefinition, node, problems)) and (made := compile_subscriber(name, subscriber, node, catalogue, problems)):
            loading.subscribers[name] = made
    elif kind == "publishers":
        if (publisher := validated(PublisherDefinition, node, problems)) and (built := compile_publisher(name, publisher, node, catalogue, problems)):
            loading.publishers[name] = built
    else:
        compile_automation(node, kind, name, loading)


def compile_automation(node: ConfigNode, kind: str, name: str, loading: Loading) -> None:
    """Those kinds that check_reference to others."""
    problems = loading.problems
    before = len(problems)
    references = References(loading.catalogue, loading.definitions, loading.clients, loading.integrations)
    if kind == "integrations":
        if integration := validated(IntegrationDefinition, node, problems):
            loading.integrations[name] = compile_integration(name, integration, node, references, problems)
    elif kind == "runbooks":
        if runbook := validated(RunbookDefinition, node, problems):
            loading.runbooks[name] = compile_runbook(name, runbook, node, references, problems, whole=len(problems) == before)
    elif webhook := validated(WebhookDefinition, node, problems):
        loading.webhooks[name] = compile_webhook(name, webhook, node, references, problems)


def cleaned(problem: Problem, variables: Variables) -> Problem:
    return Problem(problem.file, problem.line, problem.column, variables.scrub(problem.message))
