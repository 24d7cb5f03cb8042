"""The shared parts of both ports: JSON answers, also for errors, no version in the headers, and listening."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from worker.core.errors import WorkerError
from worker.core.printable import printable_json

CLOSE_SECONDS = 1.0
SERVER = "halo-worker"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]
NewProtocol = Callable[[], asyncio.Protocol]
ProtocolWrapper = Callable[[NewProtocol], NewProtocol]


def answer(status: int, body: object, **headers: str) -> web.Response:
    """Return a JSON answer. Underscores in the names of headers become hyphens."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.Response(
        status=status,
        body=printable_json(orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE).decode()).encode(),
        content_type="application/json",
        headers=given,
    )


@web.middleware
async def refusals_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer unknown addresses and methods in JSON, too."""
    try:
        return await handler(request)
    except web.HTTPException as refusal:
        allowed = {"Allow": refusal.headers["Allow"]} if "Allow" in refusal.headers else {}
        return answer(refusal.status, {"error": refusal.reason.lower()}, **allowed)


async def hide_versions(_: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = SERVER


def is_loggable(record: logging.LogRecord) -> bool:
    """Whether the log takes a record. False for bytes that are no HTTP: aiohttp answers them with 400 and would quote a stranger's bytes in the log."""
    return not (record.exc_info and isinstance(record.exc_info[1], BadHttpMessage))


def server_log() -> logging.Logger:
    """Return the logger for failures of handlers."""
    server = logging.getLogger("worker.web")
    server.addFilter(is_loggable)
    return server


class Connection(web.RequestHandler):
    """One connection. aiohttp's own answer to bytes that are no HTTP shows its version, and quotes the bytes."""

    __slots__ = ()

    def handle_error(self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None) -> web.StreamResponse:
        """Return the worker's usual answer; the log gets aiohttp's details. Raises `ConnectionError` when a part of the answer was already sent."""
        super().handle_error(request, status, exc, message)
        refusal = answer(status, {"error": HTTPStatus(status).phrase.lower()}, Server=SERVER)
        refusal.force_close()
        return refusal


def application(around: Sequence[Middleware] = (), *, largest: int = 1024**2) -> web.Application:
    """Return an application without routes. `around`: middlewares that see every answer, also refusals; `largest`: bytes of a body."""
    stack: list[Any] = [*around, refusals_as_json]  # aiohttp's own type of a middleware is private
    made = web.Application(middlewares=stack, client_max_size=largest)
    made.on_response_prepare.append(hide_versions)
    return made


@asynccontextmanager
async def listening(
    served: web.Application,
    host: str,
    port: int,
    *,
    name: str,
    shutdown_timeout: float = CLOSE_SECONDS,
    wrapper: ProtocolWrapper | None = None,
    **connections: Any,
) -> AsyncIterator[int]:
    """Serve until the end of the block; yields the port in use, which differs from `port` when that is 0. Raises `WorkerError` when it cannot listen.

    `name`: the port's name in errors. `wrapper`: wraps the protocol of each connection. `connections`: aiohttp's settings for each connection.
    """
    runner = web.AppRunner(served, handle_signals=False, shutdown_timeout=shutdown_timeout)
    await runner.setup()
    try:
        if runner.server is None:
            raise WorkerError(f"the {name} port has no server")
        settings: dict[str, Any] = connections | {"access_log": None, "logger": server_log()}
        connection = partial(Connection, runner.server, loop=asyncio.get_running_loop(), **settings)
        server = await bound_server(wrapper(connection) if wrapper else connection, host, port, name)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
    finally:
        await runner.cleanup()


async def bound_server(new_protocol: NewProtocol, host: str, port: int, name: str) -> asyncio.Server:
    """Return a listening server. Raises `WorkerError` when the address is not available."""
    try:
        return await asyncio.get_running_loop().create_server(new_protocol, host, port)
    except OSError as error:
        settings = f"WORKER_{name.upper()}_HOST or WORKER_{name.upper()}_PORT"
        raise WorkerError(f"the {name} port cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}; set {settings}") from None
