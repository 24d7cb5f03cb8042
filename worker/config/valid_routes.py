"""Loads the valid definitions of a directory of route files, for commands and workers that continue after a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.config.loader import Exclusions, compile_directory
from worker.config.routes import Routes
from worker.core.errors import ConfigError, Problem
from worker.core.route_names import routes_of_name


@dataclass(frozen=True, slots=True)
class ValidRoutes:
    """`routes`: the definitions without a mistake that refer to none with a mistake. `problems`: the mistakes in the rest."""

    routes: Routes
    problems: tuple[Problem, ...] = ()

    def requiring(self, name: str) -> Routes:
        """Return the routes. Raises `ConfigError` with the mistakes if they may be the reason why no definition has this name."""
        routes = self.routes
        kinds: tuple[Mapping[str, object], ...] = (routes.subscribers, routes.publishers, routes.runbooks, routes.webhooks, routes.integrations)
        if self.problems and not any(routes_of_name(name, kind) for kind in kinds):
            raise ConfigError(self.problems)
        return routes

    @property
    def warning(self) -> str:
        """Return one sentence about the parts that are left out; empty if there are none."""
        files = sorted({problem.file for problem in self.problems})
        count = len(self.problems)
        return f"{', '.join(files)}: {count} mistake{'' if count == 1 else 's'}; what it concerns is left out (`halo-worker check` lists it)" if files else ""


def load_valid_routes(directory: Path, environment: Mapping[str, str], secrets: Path, *, whole_files: bool = False) -> ValidRoutes:
    """Leave out each definition with a mistake, or with `whole_files` its file, and then every definition that refers to a part that is left out.

    Raises `ConfigError` if a mistake belongs to no route file, and if no valid definition is left.
    """
    left, problems = Exclusions(), list[Problem]()
    while True:
        compiled = compile_directory(directory, environment, secrets, left=left)
        if not compiled.problems:
            return ValidRoutes(compiled.routes, tuple(problems))
        problems += compiled.problems if not problems else []
        more = left.with_more(compiled.problems, compiled.definitions, whole_files=whole_files and left == Exclusions())
        if more == left or not more.files <= set(compiled.files):
            raise ConfigError(problems)
        left = more
