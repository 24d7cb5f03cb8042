"""The public port: whether a worker answers there or could listen, and whether others can reach it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

from worker.app.doctor.check import Check, Subject
from worker.config.routes import Routes
from worker.settings import Settings
from worker.web.public import endpoints_of

WITHIN = 5.0  # seconds for an answer from this machine
ASK = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def port_checks(settings: Settings, routes: Routes) -> AsyncIterator[Check]:
    """Check the public port; yield nothing if no route needs it."""
    if not endpoints_of(routes.runbooks, routes.webhooks):
        return
    about, host, port = Subject("public port"), settings.public_host, settings.public_port
    tried = f"connect to {host}:{port}, or listen there"
    if await speaks_http(host, port):
        yield about.good("listen", tried, "something answers HTTP there: the worker, if it runs")
    elif reason := cannot_listen(host, port):
        yield about.failed("listen", tried, reason, "end what uses the port, or set WORKER_PUBLIC_PORT and WORKER_PUBLIC_HOST")
    else:
        yield about.good("listen", tried, "free")
    if host.startswith("127.") or host in {"localhost", "::1"}:
        fix = "set WORKER_PUBLIC_HOST=0.0.0.0 in a container, or put a reverse proxy on this machine in front of it"
        yield about.warning("reachable", f"read WORKER_PUBLIC_HOST={host}", "Halo cannot reach it from outside this machine", fix)


async def speaks_http(host: str, port: int) -> bool:
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(WITHIN):
            reader, writer = await asyncio.open_connection("127.0.0.1" if host == "0.0.0.0" else host, port)  # noqa: S104 - compared, not listened on
            try:
                writer.write(ASK)
                await writer.drain()
                return (await reader.read(5)) == b"HTTP/"
            finally:
                writer.close()
    return False


def cannot_listen(host: str, port: int) -> str:
    """Return why the worker cannot listen on the port; empty if it can."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        return f"the port is not available: {(error.strerror or 'unknown reason').lower()}"
    return ""
