"""`halo-worker runbook pull`: fetches runbooks from a tenant, with their integrations and the runbooks that they start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from worker.app.clients import open_clients
from worker.cli.console import output, with_noun
from worker.cli.runbook_import import import_documents
from worker.cli.valid_definitions import load_routes_with_warning
from worker.config.routes import Routes
from worker.core.clock import SystemClock
from worker.core.errors import WorkerError
from worker.core.exchange import Priority, Request
from worker.core.health import Health
from worker.core.ports import Halo
from worker.core.suggest import choices
from worker.logs import configure
from worker.metrics import Metrics
from worker.settings import Settings, load_settings
from worker.translation.copies import json_text
from worker.translation.documents import Documents
from worker.translation.halo_steps import is_number
from worker.translation.secrets import SecretExtractor, with_references

GOOD = 0
DETAILS = {"includedetails": "true"}
NONE = "Halo shows no runbooks: the tenant has none, or the agent of this API application may not see integrations and webhooks"


class CannotPull(WorkerError):
    """Halo does not return the requested documents."""


@dataclass(frozen=True, slots=True)
class PullOptions:
    """The options of a pull. `out`: the directory of the route files; None: that of the settings. `save`: a file for the documents instead."""

    out: Path | None = None
    save: Path | None = None
    force: bool = False
    as_json: bool = False


def pull(client: str, name: str, environment: Mapping[str, str], options: PullOptions) -> int:
    """Fetch and import runbooks. Return 0 when everything was translated, 1 after a refusal. Raises `ConfigError`, `CannotPull`, `BrokenCopy`."""
    settings = load_settings(environment)
    configure("error")
    routes = load_routes_with_warning(None, settings, environment)
    if client not in routes.clients:
        raise CannotPull(f"there is no client {client!r}{choices(client, routes.clients, none='; the route files have none')}")
    documents = asyncio.run(pull_documents(routes, settings, client, name))
    if options.save is not None:
        options.save.write_text(json_text(without_secrets(documents)), "utf-8")
        output().print(Text(f"{with_noun(len(documents.runbooks), 'runbook')} and {with_noun(len(documents.integrations), 'integration')} in {options.save}"))
        return GOOD
    return import_documents(documents, options.out or settings.routes, client, environment, force=options.force, as_json=options.as_json)


def without_secrets(documents: Documents) -> dict[str, Any]:
    """Return the documents in a form that may be saved."""
    taker = SecretExtractor()
    cleaned = {kind: [taker.clean(each, str(each.get("name"))) for each in getattr(documents, kind)] for kind in ("runbooks", "integrations", "methods")}
    found: dict[str, Any] = with_references(cleaned)
    return found


async def pull_documents(routes: Routes, settings: Settings, client: str, name: str) -> Documents:
    async with open_clients(routes, settings, Metrics(), Health(), SystemClock(), names=[client]) as clients:
        return await fetch(clients[client], name)


async def fetch(halo: Halo, name: str) -> Documents:
    """Fetch the runbook of this name, or all, with everything that they need. Raises `CannotPull`."""
    rows = await get(halo, "/Webhook", {"type": "1"})
    listed = [row for row in rows if isinstance(row, dict) and row.get("id") and row.get("type", 1) == 1] if isinstance(rows, list) else []
    titles = {str(row.get("name")): str(row["id"]) for row in listed}
    if not titles:
        raise CannotPull(NONE)
    if name and name not in titles:
        raise CannotPull(f"Halo has no runbook {name!r}{choices(name, titles)}")
    waiting = [titles[name]] if name else list(titles.values())
    found, seen = Documents(), set[str]()
    while waiting:
        identifier = waiting.pop(0)
        if identifier.lower() in seen:
            continue
        seen.add(identifier.lower())
        document = await get(halo, f"/Webhook/{identifier}", DETAILS)
        if isinstance(document, dict):
            found.runbooks.append(document)
            waiting += [str(step["start_new_runbook_id"]) for step in steps_of(document) if step.get("start_new_runbook_id")]
    await fetch_integrations(halo, found)
    return found


async def fetch_integrations(halo: Halo, found: Documents) -> None:
    """Fetch the methods that the steps call, and their integrations with all methods. The import later refuses each step whose method is missing."""
    called = sorted({step["auto_action_type"] for runbook in found.runbooks for step in steps_of(runbook) if calls_method(step)})
    needed: set[int] = set()
    for number in called:
        method = await get(halo, f"/CustomIntegrationMethod/{number}", DETAILS, missing_is_none=True)
        if isinstance(method, dict):
            found.methods.append(method)
            needed |= {method["integration_id"]} if is_number(method.get("integration_id")) else set()
    for number in sorted(needed):
        integration = await get(halo, f"/CustomIntegration/{number}", DETAILS | {"includemethods": "true"}, missing_is_none=True)
        if isinstance(integration, dict):
            found.integrations.append(integration)


def steps_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    steps = document.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def calls_method(step: Mapping[str, Any]) -> bool:
    return step.get("steptype") == 2 and step.get("auto_action") == 6 and is_number(step.get("auto_action_type"))  # noqa: PLR2004  the numbers of such a step


async def get(halo: Halo, path: str, query: Mapping[str, str], *, missing_is_none: bool = False) -> Any:
    """Send a GET, and return the JSON. Raises `CannotPull`."""
    exchange = await halo.send(Request("GET", path, dict(query)), priority=Priority.RUNBOOK)
    if exchange.ok:
        return exchange.body
    if missing_is_none and exchange.status == 404:  # noqa: PLR2004  not found
        return None
    raise CannotPull(f"GET {path}: {exchange.reason or exchange.status}")
