"""The question to the process that reads route files, and its answer: only the changed definitions, so that the others cost the worker nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from worker.config.loader import load_routes
from worker.config.routes import FILES, Routes
from worker.config.valid_routes import ValidRoutes, load_valid_routes
from worker.core.errors import ConfigError, Problem
from worker.core.route_names import defined_name

KINDS = ("clients", "subscribers", "publishers", "integrations", "runbooks", "webhooks")


@dataclass(frozen=True, slots=True)
class RouteSources:
    """The directory of the route files and the sources of their variables. `skip`: leave out files with a mistake. The repr shows no secret."""

    directory: Path
    secrets: Path
    environment: Mapping[str, str]
    skip: bool = False

    def __repr__(self) -> str:
        return f"Files({str(self.directory)!r})"

    def load(self) -> ValidRoutes:
        """Load all routes, or with `skip` the valid ones. Raises `ConfigError`."""
        if self.skip:
            return load_valid_routes(self.directory, self.environment, self.secrets, whole_files=True)
        return ValidRoutes(load_routes(self.directory, self.environment, self.secrets))


@dataclass(frozen=True, slots=True)
class ReloadRequest:
    """The question. `known`: the text of each running definition, by name."""

    files: RouteSources
    known: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """The answer. `loaded`: only the definitions that are not known. `names`: of all definitions, for each kind in order. `mistakes`: set if loading failed."""

    loaded: ValidRoutes | None = None
    names: Mapping[str, tuple[str, ...]] | None = None
    mistakes: tuple[Problem, ...] = ()


def load_changes(request: ReloadRequest) -> ReloadResult:
    """Read, check and compile all files."""
    try:
        loaded = request.files.load()
    except ConfigError as error:
        return ReloadResult(mistakes=tuple(error.problems))
    routes = loaded.routes
    names = {kind: tuple(getattr(routes, kind)) for kind in KINDS}
    before = Routes(sources=request.known)
    changed = changed_among(before, routes)
    alone: dict[str, Any] = {kind: {name: made for name, made in getattr(routes, kind).items() if defined_name(name) in changed} for kind in KINDS}
    sources = {name: text for name, text in routes.sources.items() if request.known.get(name) != text}
    tables = routes.tables if FILES in sources else {}
    return ReloadResult(ValidRoutes(replace(routes, sources=sources, tables=tables, **alone), loaded.problems), names)


def changed_among(before: Routes, after: Routes) -> set[str]:
    """Return the definitions that differ from the known ones; all if tables, a client or an integration differ, since routes are made from these."""
    others = {FILES, *after.clients, *after.integrations}
    if any(before.sources.get(name) != after.sources.get(name) for name in others):
        return set(after.sources)
    changed = {name for name in after.sources if before.sources.get(name) != after.sources.get(name)}
    woken = {hook.name for hook in after.webhooks.values() if hook.wake is not None and defined_name(hook.wake.subscriber) in changed}
    return changed | woken  # the route that a webhook wakes depends on the clients of the subscriber


def merge_result(before: Routes, result: ReloadResult) -> ValidRoutes:
    """Return the present routes: known definitions stay the same objects. Raises `ConfigError`."""
    if result.loaded is None or result.names is None:
        raise ConfigError(result.mistakes)
    new = result.loaded.routes
    kinds: dict[str, Any] = {
        kind: {name: getattr(new, kind)[name] if name in getattr(new, kind) else getattr(before, kind)[name] for name in result.names[kind]} for kind in KINDS
    }
    defined = {defined_name(name) for names in (*result.names.values(), (FILES,)) for name in names}
    sources = {name: new.sources[name] if name in new.sources else before.sources[name] for name in defined}
    tables = new.tables if FILES in new.sources else before.tables
    return ValidRoutes(replace(new, sources=sources, tables=tables, **kinds), result.loaded.problems)
