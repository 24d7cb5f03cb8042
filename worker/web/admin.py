"""The admin port: liveness, readiness, metrics, and the status page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, Metric, generate_latest
from prometheus_client.registry import Collector

from worker.core.health import Health
from worker.core.ports import Clock
from worker.metrics import Metrics
from worker.web.page.application import add_page
from worker.web.page.model import PageBackend
from worker.web.page.security import security_middleware
from worker.web.serving import answer, application, listening

log = structlog.get_logger()
MAX_FORM = 2 * 1024 * 1024  # bytes: the edited body of a dead letter, percent-encoded
PUBLIC_NEEDS = frozenset({"broker", "topology"})  # parts that a public endpoint needs to accept a call


class Admin:
    """The answers of the admin port."""

    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics

    async def live(self, _: web.Request) -> web.Response:
        """Return 200 always: a blocked event loop does not answer, and an outage of RabbitMQ or Halo is no reason to restart the worker."""
        return answer(200, {"status": "ok"})

    async def ready(self, _: web.Request) -> web.Response:
        return self._readiness(self._health.parts)

    async def ready_public(self, _: web.Request) -> web.Response:
        return self._readiness(PUBLIC_NEEDS)

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=await exposition(self._metrics.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    def _readiness(self, needed: Collection[str]) -> web.Response:
        parts = self._health.parts
        ready = bool(needed) and all(name in parts and parts[name].ok for name in needed)
        shown = {name: {"ok": part.ok, "detail": part.detail} for name, part in sorted(parts.items()) if name in needed}
        return answer(200 if ready else 503, {"status": "ready" if ready else "not ready", "parts": shown})


@dataclass(frozen=True, slots=True)
class SingleMetric(Collector):
    """One metric."""

    metric: Metric

    def collect(self) -> Iterable[Metric]:
        return (self.metric,)


async def exposition(registry: CollectorRegistry) -> bytes:
    """Return the text of all metrics. For 2,000 routes this takes a tenth of a second: other work runs after each metric."""
    chunks = []
    for metric in registry.collect():
        chunks.append(generate_latest(SingleMetric(metric)))
        await asyncio.sleep(0)
    return b"".join(chunks)


@dataclass(frozen=True, slots=True)
class PageSettings:
    """`page_backend`: answers the status page. `token`: lets a viewer act; None: no viewer may act. `hosts`: names under which browsers reach the port."""

    page_backend: PageBackend
    clock: Clock
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()


def admin_application(health: Health, metrics: Metrics, page: PageSettings | None = None) -> web.Application:
    """Return the application of the admin port; each address answers HEAD as well as GET."""
    admin = Admin(health, metrics)
    served = application([security_middleware(() if page is None else page.hosts)], largest=MAX_FORM)
    served.router.add_get("/livez", admin.live)
    served.router.add_get("/readyz", admin.ready)
    served.router.add_get("/readyz/public", admin.ready_public)
    served.router.add_get("/metrics", admin.metrics)
    if page is not None:
        add_page(served, page.page_backend, page.token, page.clock)
    return served


@asynccontextmanager
async def serve_admin(host: str, port: int, health: Health, metrics: Metrics, page: PageSettings | None = None) -> AsyncIterator[int]:
    """Serve until the end of the block; yields the port in use, which differs from `port` when that is 0. Raises `WorkerError` when it cannot listen."""
    async with listening(admin_application(health, metrics, page), host, port, name="admin") as bound:
        log.info("admin.listening", host=host, port=bound)
        yield bound
