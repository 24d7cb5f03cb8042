"""The routes for a command that is about one of them: mistakes in others are told and do not stop it."""

from __future__ import annotations

from collections.abc import Mapping

from worker.cli.console import errors
from worker.config.routes import Routes
from worker.config.sound_routes import load_sound_routes
from worker.settings import Settings


def routes_with(name: str | None, settings: Settings, environment: Mapping[str, str]) -> Routes:
    """What is sound in the route files; `name`: the definition that the command needs. Raises `ConfigError` where a mistake may hide it, or nothing is sound."""
    loaded = load_sound_routes(settings.routes, environment, settings.secrets)
    routes = loaded.routes if name is None else loaded.requiring(name)
    if loaded.told:
        errors().print(f"warning: {loaded.told}", soft_wrap=True)
    return routes
