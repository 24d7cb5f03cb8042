"""`halo-worker asyncapi`: prints the AsyncAPI document of the routes, as YAML or JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

from worker.app.asyncapi import document_of
from worker.cli.console import write_json
from worker.config.jsonable import to_jsonable
from worker.config.loader import load_routes
from worker.core.printable import printable
from worker.settings import load_settings


def print_asyncapi(directory: Path | None, environment: Mapping[str, str], *, as_json: bool) -> int:
    """Returns the exit code 0. Raises `ConfigError`."""
    settings = load_settings(environment)
    routes = load_routes(directory or settings.routes, environment, settings.secrets)
    document = to_jsonable(document_of(routes, settings.amqp_url.get_secret_value()))
    if as_json:
        write_json(document)
        return 0
    yaml, text = YAML(), StringIO()
    yaml.width = 1000
    yaml.representer.ignore_aliases = lambda _: True
    yaml.dump(document, text)
    sys.stdout.write(printable(text.getvalue()))
    return 0
