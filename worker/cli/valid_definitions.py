"""Reads the routes for a command about one route: mistakes in other definitions are shown and do not stop the command."""

from __future__ import annotations

from collections.abc import Mapping

from worker.cli.console import errors
from worker.config.routes import Routes
from worker.config.valid_routes import load_valid_routes
from worker.settings import Settings


def load_routes_with_warning(name: str | None, settings: Settings, environment: Mapping[str, str]) -> Routes:
    """Return the valid definitions. `name`: the definition that the command needs. Raises `ConfigError` if a mistake may hide it, or if none is sound."""
    loaded = load_valid_routes(settings.routes, environment, settings.secrets)
    routes = loaded.routes if name is None else loaded.requiring(name)
    if loaded.warning:
        errors().print(f"warning: {loaded.warning}", soft_wrap=True)
    return routes
