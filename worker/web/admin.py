"""The admin port: is it alive, is it ready, and its metrics."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager

import orjson
import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from worker.core.errors import WorkerError
from worker.core.health import Health
from worker.metrics import Metrics

log = structlog.get_logger()

PUBLIC_NEEDS = frozenset({"broker", "topology"})  # what an endpoint of the public port needs in order to accept a call
CLOSE_SECONDS = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Admin:
    """The answers of the admin port."""

    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics

    async def live(self, _: web.Request) -> web.Response:
        """Always good: an event loop that is blocked does not answer, and neither RabbitMQ nor Halo is a reason to restart us."""
        return answer(200, {"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        return self._readiness(self._health.parts)

    async def ready_public(self, _: web.Request) -> web.Response:
        return self._readiness(PUBLIC_NEEDS)

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    def _readiness(self, needed: Collection[str]) -> web.Response:
        parts = self._health.parts
        ready = bool(needed) and all(name in parts and parts[name].ok for name in needed)
        shown = {name: {"ok": part.ok, "detail": part.detail} for name, part in sorted(parts.items()) if name in needed}
        return answer(200 if ready else 503, {"status": "ready" if ready else "not ready", "parts": shown})


def answer(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE), content_type="application/json")


@web.middleware
async def refusals_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Unknown addresses and methods are answered in JSON too."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        response = answer(refusal.status, {"error": refusal.reason.lower()})
        if "Allow" in refusal.headers:
            response.headers["Allow"] = refusal.headers["Allow"]
        return response


async def hide_versions(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "halo-worker"


def is_ours_to_know(record: logging.LogRecord) -> bool:
    """False for bytes that are no HTTP: they are answered with 400, and a stranger's bytes are not quoted in our log."""
    return not (record.exc_info and isinstance(record.exc_info[1], BadHttpMessage))


def server_log() -> logging.Logger:
    """Where aiohttp tells that a handler failed."""
    server = logging.getLogger("worker.web")
    server.addFilter(is_ours_to_know)
    return server


def admin_application(health: Health, metrics: Metrics) -> web.Application:
    """The routes of the admin port; HEAD is answered wherever GET is."""
    admin = Admin(health, metrics)
    application = web.Application(middlewares=[refusals_as_json])
    application.on_response_prepare.append(hide_versions)
    application.router.add_get("/livez", admin.live)
    application.router.add_get("/readyz", admin.ready)
    application.router.add_get("/readyz/public", admin.ready_public)
    application.router.add_get("/metrics", admin.metrics)
    return application


@asynccontextmanager
async def serve_admin(host: str, port: int, health: Health, metrics: Metrics) -> AsyncIterator[int]:
    """Serve until the end of the block; yields the port in use (another than `port` when that is 0). Raises `WorkerError` when it cannot listen."""
    runner = web.AppRunner(admin_application(health, metrics), access_log=None, logger=server_log(), handle_signals=False, shutdown_timeout=CLOSE_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise WorkerError(
                f"the admin port cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}; set WORKER_ADMIN_HOST or WORKER_ADMIN_PORT"
            ) from None
        bound: int = runner.addresses[0][1]
        log.info("admin.listening", host=host, port=bound)
        yield bound
    finally:
        await runner.cleanup()
