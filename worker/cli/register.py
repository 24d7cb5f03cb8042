"""`halo-worker register`: creates or repairs a webhook and its notifications in Halo, so that Halo calls the worker."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

import typer
from rich.text import Text
from yarl import URL

from worker.app.clients import open_clients
from worker.cli.console import output
from worker.cli.valid_definitions import load_routes_with_warning
from worker.config.automation import Webhook
from worker.config.routes import Routes
from worker.core.clock import SystemClock
from worker.core.errors import ConfigError, Problem, WorkerError
from worker.core.health import Health
from worker.core.json_codec import encode
from worker.core.ports import Halo
from worker.core.printable import printable
from worker.core.redaction import redact
from worker.core.suggest import choices
from worker.flows.hooks.registration import RegistrationCall, find_registered, plan_registration, send_registration, with_webhook_id
from worker.logs import configure
from worker.metrics import Metrics
from worker.settings import Settings, load_settings

GOOD = 0


class NoSuchWebhook(WorkerError):
    """The route files have no webhook of this name."""


def register(name: str, url: str, environment: Mapping[str, str], *, dry_run: bool, yes: bool) -> int:
    """Register a webhook, and return 0. `url`: the public port's address for Halo. Raises `ConfigError`, `NoSuchWebhook`, `CannotRegister`."""
    settings = load_settings(environment)
    configure("error")
    routes = load_routes_with_warning(name, settings, environment)
    hook = find_webhook(routes.webhooks, name)
    asyncio.run(register_webhook(routes, settings, hook, address_of(url, hook), dry_run=dry_run, yes=yes))
    return GOOD


def find_webhook(webhooks: Mapping[str, Webhook], name: str) -> Webhook:
    if name in webhooks:
        return webhooks[name]
    raise NoSuchWebhook(f"there is no webhook {name!r}{choices(name, webhooks, none='the route files have no webhooks')}")


def address_of(url: str, hook: Webhook) -> str:
    """Return the address that Halo calls; adds the path of the webhook unless it is there. Raises `ConfigError`."""
    path = f"/webhooks/{hook.name}"
    given = parsed(url)
    if given is None:
        raise ConfigError(
            [Problem("--url", 0, 0, "it must be the public address of the worker, such as https://hooks.example.com, without credentials and query")]
        )
    base = str(given).rstrip("/")
    return base if base.endswith(path) else base + path


def parsed(url: str) -> URL | None:
    """Parse an address; None when Halo cannot call it."""
    try:
        given = URL(url.strip())
    except ValueError:
        return None
    usable = given.scheme in {"http", "https"} and given.host and not (given.user or given.password or given.query_string or given.fragment)
    return given if usable else None


async def register_webhook(routes: Routes, settings: Settings, hook: Webhook, url: str, *, dry_run: bool, yes: bool) -> None:
    async with open_clients(routes, settings, Metrics(), Health(), SystemClock(), names=[hook.client]) as clients:
        halo = clients[hook.client]
        steps = list(plan_registration(hook, url, await find_registered(halo, hook, url)))
        if dry_run:
            for step in steps:
                show_call(step)
        else:
            await send_calls(halo, steps, yes=yes)


async def send_calls(halo: Halo, steps: list[RegistrationCall], *, yes: bool) -> None:
    console = output()
    answer = None
    for number, step in enumerate(steps):
        if step.removes and not yes and not confirmed(step):
            console.print(
                Text(f"left: {step.sentence.removeprefix('remove ')}, which the route does not name (--yes removes it)", style="yellow"), soft_wrap=True
            )
            continue
        body = await send_registration(halo, step if answer is None else with_webhook_id(step, answer))
        answer = body if number == 0 else answer
        console.print(Text(f"done: {step.sentence}", style="green"), soft_wrap=True)


def confirmed(step: RegistrationCall) -> bool:
    """Ask for agreement on a terminal; without a terminal the answer is no."""
    return sys.stdin.isatty() and typer.confirm(printable(f"{step.sentence[:1].upper()}{step.sentence[1:]}?", lines=False))


def show_call(step: RegistrationCall) -> None:
    """Print the call that the command would make, without the secret."""
    request = step.request()
    body = "" if request.body is None else f" {encode(redact(request.body)).decode()}"
    output().print(Text(f"{step.sentence}\n  {request.method} {request.path}{body}"), soft_wrap=True)
