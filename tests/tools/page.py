"""The status page of a worker that runs in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from worker.app import Service
from worker.app.page.backend import ServicePageBackend
from worker.web.admin import PageSettings, serve_admin

TOKEN = "a-token-of-the-tests-0123456789"


@asynccontextmanager
async def page_of(service: Service, token: str | None = TOKEN, hosts: tuple[str, ...] = ()) -> AsyncIterator[str]:
    """The address of the page."""
    desk = ServicePageBackend(service, service.settings, partial(service.attach, "halo-worker page"), service.clock)
    page = PageSettings(desk, service.clock, token, hosts)
    async with desk.serving(), serve_admin("127.0.0.1", 0, service.health, service.metrics, page) as port:
        yield f"http://127.0.0.1:{port}"
