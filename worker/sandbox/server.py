"""Serves the simulated Halo over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import format_datetime
from typing import Any

from aiohttp import web

from worker.sandbox import control_api
from worker.sandbox.api import Api
from worker.sandbox.auth import auth_answer
from worker.sandbox.fault_injection import ConnectionCut, corrupt_response, inject_before
from worker.sandbox.faults import ActiveFault
from worker.sandbox.journal import ReceivedRequest
from worker.sandbox.list_query import read_list_query
from worker.sandbox.responses import login_page
from worker.sandbox.runbooks.runs import run_runbooks
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import NowFunction, SimulatedHalo, utc_now
from worker.sandbox.webhook_sender import deliver_webhooks

MAX_REQUEST_BYTES = 64 * 1024 * 1024
CORRELATION = ("X-Correlation-ID", "Correlation-ID", "X-Request-ID")
Watcher = Callable[[ReceivedRequest, float], None]
"""Called with each answered request and its duration in seconds."""


@asynccontextmanager
async def serve(
    settings: SandboxSettings | None = None, *, host: str = "127.0.0.1", port: int = 0, now: NowFunction = utc_now, watcher: Watcher | None = None
) -> AsyncIterator[SimulatedHalo]:
    """A running simulated Halo. `port` 0: any free port, see its `url`. `now`: the time source of everything in it."""
    halo = SimulatedHalo(settings or SandboxSettings(), now)
    application = RequestHandler(halo, watcher).application()
    async with listen(application, host, port, keepalive_timeout=halo.settings.keepalive_seconds) as halo.url:
        try:
            async with deliver_webhooks(halo), run_runbooks(halo):
                yield halo
        finally:
            halo.faults.clear()


@asynccontextmanager
async def listen(application: web.Application, host: str, port: int, **options: Any) -> AsyncIterator[str]:
    """Serves an application until the end of the block, and yields its URL. `port` 0: any free port."""
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, reuse_address=True).start()
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class RequestHandler:
    """Journals every request, applies faults, and passes it to the API or to the authorization server."""

    def __init__(self, halo: SimulatedHalo, watcher: Watcher | None = None) -> None:
        self._halo = halo
        self._api = Api(halo)
        self._watcher = watcher

    def application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_REQUEST_BYTES)
        application.on_response_prepare.append(self._date)
        application.add_routes(control_api.routes(self._halo))
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _date(self, _: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = format_datetime(self._halo.date().replace(microsecond=0), usegmt=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        halo = self._halo
        correlation = next((request.headers[name] for name in CORRELATION if name in request.headers), None)
        received = ReceivedRequest(
            halo.journal.next_number(), halo.now(), request.method, request.path, dict(request.query), correlation, target=request.raw_path
        )
        halo.journal.requests.append(received)
        for hook in halo.hooks:
            hook(received)
        try:
            answer = await self._answer(request, received)
            received.status = answer.status
        except (ConnectionCut, ConnectionError):  # a fault cut the connection, or the client did
            received.status = 0
            return web.Response()  # never sent: the connection is closed
        finally:
            if self._watcher is not None:
                self._watcher(received, (halo.now() - received.time).total_seconds())
        return answer

    async def _answer(self, request: web.Request, received: ReceivedRequest) -> web.StreamResponse:
        struck = self._halo.faults.matching(request.method, request.path)
        for active in struck:
            if not active.fault.executed:
                instead = await inject_before(self._halo, active, request)
                if instead is not None:
                    return instead
        answer = await self._route(request, received, struck)
        for active in struck:
            if active.fault.executed:
                answer = await inject_before(self._halo, active, request) or answer
        return await corrupt_response(struck, answer, request)

    async def _route(self, request: web.Request, received: ReceivedRequest, struck: list[ActiveFault]) -> web.StreamResponse:
        path = request.path.lower()
        if path.startswith("/auth/"):
            return await auth_answer(self._halo, request, path[len("/auth") :])
        if path.startswith("/api/"):
            return await self._api.answer(request, received, read_list_query(request.query, struck))
        return login_page()
