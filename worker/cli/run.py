"""`halo-worker run`: runs the service until a signal stops it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from worker import __version__
from worker.app import Service
from worker.app.page.desk import PageDesk
from worker.app.reloading import Reloader, skipped
from worker.app.route_reader import RouteReader
from worker.broker.memory import MemoryServer
from worker.cli.console import errors
from worker.config.rereading import Files
from worker.config.routes import Grant, Routes
from worker.config.sound_routes import load_sound_routes
from worker.core.errors import ConfigError, Problem, TopologyMismatch
from worker.garbage import shorten_pauses
from worker.logs import configure
from worker.otel import tracing
from worker.settings import Settings, load_settings
from worker.shutdown import asked_by_hangup, run_until, stop_on_signals
from worker.web.admin import PageSettings, serve_admin

logger = structlog.get_logger()
GOOD, FAILED, WRONG_CONFIGURATION = 0, 1, 2


def run(environment: Mapping[str, str]) -> int:
    """Run until stopped, and return the exit code. 0: drained; 1: messages in flight were cut off; 2: the service cannot start. Raises `ConfigError`."""
    settings = load_settings(environment)
    configure(settings.log_level, settings.log_format)
    files = Files(settings.routes, settings.secrets, dict(environment), skip=settings.on_broken_routes == "skip")
    loaded = files.load()
    routes = loaded.routes
    hidden = HiddenSecrets(routes)
    configure(settings.log_level, settings.log_format, hide=hidden.hide, final=True)
    for problem in loaded.problems:
        logger.error("routes.broken", problem=str(problem), then="its file is not run, and neither is what refers to it")
    problems = tuple(skipped(str(problem)) for problem in loaded.problems)
    service = partial(
        Service, settings, routes, problems=problems, reload=partial(grant_anew, settings, environment), address=partial(address_anew, settings, environment)
    )
    try:
        with tracing(environment, settings.instance):
            drained = asyncio.run(serve(settings, service, files, hidden))
    except TopologyMismatch as error:
        errors().print(f"halo-worker: {error}", soft_wrap=True)
        return WRONG_CONFIGURATION
    return GOOD if drained else FAILED


@dataclass(slots=True)
class HiddenSecrets:
    """Masks the secrets of the present routes."""

    routes: Routes

    def hide(self, text: str) -> str:
        return self.routes.secrets.hide(text)


async def serve(settings: Settings, service: partial[Service], files: Files, hidden: HiddenSecrets) -> bool:
    """Serve with the admin port and the signals; True when everything in flight ended."""
    async with stop_on_signals() as stop, asked_by_hangup() as asked:
        embedded = settings.amqp_url.get_secret_value().startswith("memory:")
        worker = service(stop, memory=MemoryServer() if embedded else None)
        logger.info(
            "worker.starting",
            version=__version__,
            instance=settings.instance,
            subscribers=len(worker.routes.subscribers),
            publishers=len(worker.routes.publishers),
        )
        if worker.routes.warnings:
            logger.warning("routes.warned", warnings=len(worker.routes.warnings), note="halo-worker check shows them")
        if embedded:
            logger.warning("broker.embedded", note="memory:// exists in this process only: everything in it is lost when it ends")
        shorten_pauses()
        desk = PageDesk(worker, settings, partial(worker.attach, f"halo-worker page of {settings.instance}"), worker.clock)
        token = None if settings.admin_token is None else settings.admin_token.get_secret_value()
        page = PageSettings(desk, worker.clock, token, settings.admin_hosts)
        async with desk.serving(), serve_admin(settings.admin_host, settings.admin_port, worker.health, worker.metrics, page):
            reloading = asyncio.create_task(reload(settings, worker, files, hidden, asked), name="reloading")
            try:
                drained = await run_until(stop, settings.shutdown_grace, worker.run)
            finally:
                reloading.cancel()
                await asyncio.wait([reloading])
        logger.info("worker.stopped", drained=drained)
        return drained


async def reload(settings: Settings, worker: Service, files: Files, hidden: HiddenSecrets, asked: asyncio.Event) -> None:
    """Apply changed route files until cancelled."""

    async def taken(routes: Routes, problems: Sequence[str]) -> None:
        hidden.routes = replace(routes, secrets=routes.secrets.with_more(hidden.routes.secrets.values))
        await worker.take_over(routes, problems)

    if settings.reload == "off":
        while True:
            await asked.wait()
            asked.clear()
            logger.warning("reload.off", reason="WORKER_RELOAD is off: route files are read at the start only")
    watches = settings.reload == "watch"
    reader = RouteReader(files, lambda: worker.routes)
    await Reloader(settings.routes, reader.read, taken, worker.tell_problems, worker.clock, asked, watches).run()


def grant_anew(settings: Settings, environment: Mapping[str, str], client: str) -> Grant:
    """Read a client's credentials again, since secrets are rotated under a running worker; a mistake elsewhere does not matter. Raises `ConfigError`."""
    routes = load_sound_routes(settings.routes, environment, settings.secrets).routes
    if client not in routes.clients:
        raise ConfigError([Problem(str(settings.routes), 0, 0, f"there is no client {client!r} any more")])
    return routes.clients[client].grant


def address_anew(settings: Settings, environment: Mapping[str, str]) -> str:
    """Read the broker's address again, since its password is rotated under a running worker. An unusable file: the address of the start."""
    try:
        return load_settings(environment).amqp_url.get_secret_value()
    except ConfigError as error:
        logger.warning("settings.unreadable", reason=str(error))
        return settings.amqp_url.get_secret_value()
