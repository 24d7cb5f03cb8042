"""Reads all route files of a directory and compiles them, or reports every error in them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from yarl import URL

from worker.catalogue.catalogue import load
from worker.config.api_checks import check_with_api
from worker.config.automation import Integration
from worker.config.bound_names import check_bound_names
from worker.config.callers import check_shared_secrets
from worker.config.config_node import ConfigNode, RouteFile
from worker.config.customer_rows import read_customers
from worker.config.excerpts import Excerpts
from worker.config.interpolation import SECRET_FILE, Variables
from worker.config.kinds import KINDS
from worker.config.names import check_clients, check_exchanges, check_names, check_queues
from worker.config.references import CatalogueOverride, References
from worker.config.routes import FILES, Routes
from worker.config.state_queues import check_state_queues
from worker.config.table_source import TableSource
from worker.config.tables import SECTION, read_tables, share_tables
from worker.config.validation import validate
from worker.config.yaml_text import read_yaml
from worker.core.errors import ConfigError, Problem
from worker.core.known_secrets import KnownSecrets
from worker.core.redaction import is_secret_name
from worker.core.suggest import did_you_mean
from worker.core.text_files import leads_out

SUFFIXES = frozenset((".yaml", ".yml"))


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Files and definitions that are not read: names of files, and pairs of a file and the line of a definition's key."""

    files: frozenset[str] = frozenset()
    definitions: frozenset[tuple[str, int]] = frozenset()

    def with_more(self, problems: Iterable[Problem], definitions: Iterable[ConfigNode], *, whole_files: bool) -> Exclusions:
        """Return this with the definitions that hold these mistakes; with the whole file if `whole_files`, or if a mistake is outside of all definitions."""
        nodes = list(definitions)
        texts = {node.file.name: node.file.text for node in nodes}
        files, left = set(self.files), set(self.definitions)
        for problem in problems:
            holding = [node for node in nodes if node.file.name == problem.file and key_line(node) <= problem.line <= last_line(node)]
            if holding and not whole_files:
                left.add((problem.file, key_line(holding[-1])))
            else:  # a mistake in a CSV file belongs to the route files that name it
                files |= {name for name, text in texts.items() if problem.file not in texts and Path(problem.file).name in text} or {problem.file}
        return Exclusions(frozenset(files), frozenset(left))


@dataclass(frozen=True, slots=True)
class CompiledDirectory:
    """`routes`: the valid part where there are `problems`. `files`: the names of all route files."""

    routes: Routes
    problems: tuple[Problem, ...]
    definitions: tuple[ConfigNode, ...]
    files: tuple[str, ...]
    warnings: tuple[Problem, ...] = ()


def load_routes(
    directory: Path, environment: Mapping[str, str], secrets: Path, compared: CatalogueOverride | None = None, *, placeholders: bool = False
) -> Routes:
    """Compile all `*.yaml` and `*.yml` files of the directory. Raises `ConfigError` with every error of every file.

    `compared`: a catalogue to check the routes against, instead of the clients' own. `placeholders`: accept variables and secrets that are not set, for
    commands that connect to nothing.
    """
    compiled = compile_directory(directory, environment, secrets, compared, placeholders=placeholders)
    if compiled.problems:
        raise ConfigError(compiled.problems, compiled.warnings)
    return compiled.routes


def compile_directory(
    directory: Path,
    environment: Mapping[str, str],
    secrets: Path,
    compared: CatalogueOverride | None = None,
    *,
    placeholders: bool = False,
    left: Exclusions = Exclusions(),
) -> CompiledDirectory:
    """Compile like `load_routes`, without the parts in `left`; mistakes are part of the result."""
    variables = Variables(environment, secrets, placeholders=placeholders)
    problems: list[Problem] = []
    warnings: list[Problem] = []
    excerpts = Excerpts(variables)
    roots = list(read_files(directory, variables, problems, warnings, excerpts, left.files))
    definitions = [node for root in roots for node in definitions_of(root) if (node.file.name, key_line(node)) not in left.definitions]
    tables = read_tables(roots)
    share_tables((root.file for root in roots), tables)
    if not problems and not definitions:
        problems.append(Problem(directory.name or str(directory), 0, 0, f"the route files define nothing: write one of {', '.join(KINDS)}"))
    routes = replace(compile_routes(definitions, tables, compared), tables={name: table.rows for name, table in tables.items()})
    files = tuple(str(path.relative_to(directory.parent)) for path in route_files(directory))
    if problems:
        shown = tuple(sorted(set(map(excerpts.with_excerpt, problems))))
        return CompiledDirectory(routes, shown, tuple(definitions), files, tuple(sorted(set(map(excerpts.with_excerpt, warnings)))))
    known = KnownSecrets(credential_values(routes, variables))
    sources = {node.name: source_of(node, variables) for node in definitions} | {FILES: digest_of(routes)}
    found = tuple(sorted(set(map(excerpts.with_excerpt, warnings))))
    filled = known.with_more(values_of(routes, variables))
    return CompiledDirectory(replace(routes, warnings=found, sources=sources, secrets=known, filled=filled), (), tuple(definitions), files, found)


def key_line(node: ConfigNode) -> int:
    """The line on which a definition begins."""
    return (node.key_place or node.place).line


def last_line(node: ConfigNode) -> int:
    """The line on which a definition ends; the place of a mapping without braces is that of its key."""
    own = node.file.text.count("\n", 0, max(node.place.end - 1, 0)) + 1
    return max([own, *map(last_line, node.children.values())])


def route_files(directory: Path) -> list[Path]:
    """Return the route files in the order of names; none if the directory cannot be read."""
    try:
        return sorted(path for path in directory.iterdir() if path.suffix in SUFFIXES and not path.name.startswith("."))
    except OSError:
        return []


def read_files(
    directory: Path, variables: Variables, problems: list[Problem], warnings: list[Problem], excerpts: Excerpts, left: Collection[str] = ()
) -> Iterator[ConfigNode]:
    """Return the root of each readable file, in the order of names; `left`: names of files to leave out."""
    try:
        next(directory.iterdir(), None)
    except OSError as error:
        problems.append(Problem(str(directory), 0, 0, f"the directory of route files cannot be read: {(error.strerror or 'unknown reason').lower()}"))
        return
    paths = route_files(directory)
    if not paths:
        problems.append(Problem(str(directory), 0, 0, "there are no route files (*.yaml) here"))
    for path in paths:
        name = str(path.relative_to(directory.parent))
        if name in left:
            continue
        if path.exists() and not path.is_file():
            problems.append(Problem(name, 0, 0, "it is not a file: a directory, pipe or device cannot be a route file"))
            continue
        if leads_out(path, directory):  # its target may be one of the worker's secrets, and errors show lines of route files
            problems.append(Problem(name, 0, 0, "it is a link that leads out of the folder of route files: put the file itself there"))
            continue
        try:
            file = RouteFile(name, path.read_bytes().decode("utf-8-sig"), variables, problems, warnings, directory)
            excerpts.add(file)
            root = read_yaml(file)
            excerpts.mask(root)
            yield root
        except OSError as error:
            problems.append(Problem(name, 0, 0, f"the file cannot be read: {(error.strerror or 'unknown reason').lower()}"))
        except UnicodeDecodeError as error:
            problems.append(Problem(name, 0, 0, f"the file is not UTF-8 text: byte {error.start + 1}"))
        except ConfigError as error:
            problems.extend(error.problems)


def definitions_of(root: ConfigNode) -> Iterator[ConfigNode]:
    """Every definition of one file."""
    if root.value is not None and not isinstance(root.value, dict):
        root.add_error(f"a route file is a mapping with {', '.join((*KINDS, SECTION))}")
    valid = (*KINDS, SECTION)
    for kind, section in root.members.items():
        if kind == SECTION:
            continue
        if kind not in KINDS:
            section.add_key_error(f"unknown key `{kind}`" + (did_you_mean(kind, valid) or f"; valid are {', '.join(valid)}"))
        elif isinstance(section.value, dict):
            yield from section.members.values()
        elif section.value is not None:
            section.add_error(f"`{kind}` must be a mapping from names to definitions")


def compile_routes(definitions: list[ConfigNode], tables: Mapping[str, TableSource], compared: CatalogueOverride | None = None) -> Routes:
    """Compiles the valid part of each definition: an error in one member does not hide the errors of others."""
    compiled: dict[str, Any] = {kind: {} for kind in KINDS}
    catalogue = load()
    customers = read_customers(definitions, tables)
    for section, kind in KINDS.items():
        for written in definitions:
            if written.kind != section:
                continue
            rows = customers.get(written.name) if section == "integrations" else None
            node = written if rows is None else rows.general.node
            before = len(node.file.problems)
            definition = validate(kind.model, node)
            complete = len(node.file.problems) == before
            references = References(catalogue, definitions, compiled["clients"], compiled["integrations"], complete, customers, compared)
            for each in () if definition is None else kind.each(definition):
                if (made := kind.compile(each, node, references)) is not None:
                    compiled[section][made.name] = made
                    check_with_api(made, node, references)
            check_bound_names(kind.model, node)
            if rows is not None:
                rows.general.report_others()
    routes = Routes(**compiled)
    check_names(definitions)
    check_clients(References(catalogue, definitions))
    check_queues(definitions, routes)
    check_state_queues(definitions, routes)
    check_exchanges(definitions, routes)
    check_shared_secrets(definitions)
    return routes


def credential_values(routes: Routes, variables: Variables) -> Iterator[str | None]:
    """The content of secret files, variables whose name says that they are secret, and the literal credentials of route files."""
    yield from (value for value, reference in variables.given.items() if reference.startswith("${file:") or is_secret_name(reference))
    for client in routes.clients.values():
        yield from (client.grant.client_secret, client.grant.password, *(text for name, text in client.headers.items() if is_secret_name(name)))
    for integration in connections(routes):
        auth = integration.auth
        yield from (auth.password, auth.token, auth.value, auth.client_secret, auth.private_key, URL(integration.proxy or "").password)
        yield from (value for name, value in auth.parameters.items() if is_secret_name(name))
    for caller in (*(runbook.endpoint for runbook in routes.runbooks.values()), *(webhook.auth for webhook in routes.webhooks.values())):
        if caller is not None:
            yield from (caller.password, *caller.secrets)


def source_of(node: ConfigNode, variables: Variables) -> str:
    """Return the text of a definition, with a digest of the secret files that it names: their content may change while their names stay.

    Not of a client's: the client reads them again when Halo refuses it. Not of an integration's `auth`: that is replaced beside the routes (`digest_of`).
    """
    text = f"{node.kind} {node.value!r}"
    named = repr(node.child("methods").value) if node.kind == "integrations" else "" if node.kind == "clients" else text
    content = {reference: variables.known(reference) for reference in sorted(set(SECRET_FILE.findall(named)))}
    return f"{text} {sha256(repr(content).encode('utf-8', 'surrogateescape')).hexdigest()}" if content else text


def digest_of(routes: Routes) -> str:
    """Return a digest of the tables and of the integrations' connections, with the secrets of their files."""
    reached = [[repr(getattr(each, item.name)) for item in fields(each) if item.compare and item.name != "auth"] for each in connections(routes)]
    proofs = [[repr(getattr(each.auth, item.name)) for item in fields(each.auth)] for each in connections(routes)]
    logins = [each.auth.login.source for each in connections(routes) if each.auth.login is not None]
    return sha256(repr((sorted(routes.tables.items()), reached, proofs, logins)).encode("utf-8", "surrogateescape")).hexdigest()


def connections(routes: Routes) -> Iterator[Integration]:
    """Yield the integrations, and the integration of each customer."""
    yield from (each for integration in routes.integrations.values() for each in integration.each)


def values_of(routes: Routes, variables: Variables) -> Iterator[str]:
    """Yield every filled value except the addresses and hosts of APIs: they are no secrets and occur in many responses."""
    addresses = {client.url for client in routes.clients.values()} | {integration.base_url for integration in connections(routes)}
    hosts = {host for integration in connections(routes) for host, _ in integration.allow_hosts}
    yield from (value for value in variables.given if value.rstrip("/") not in addresses and value.partition(":")[0].lower() not in hosts)
