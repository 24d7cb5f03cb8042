"""The public port with the doors of a test, called over real sockets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from tests.brokers.conftest import world  # noqa: F401 - a fixture: an empty broker of either kind
from tests.flows.job.conftest import halos, job  # noqa: F401 - fixtures: the worker on both brokers
from tests.tools.waiting import SOON
from worker.config.automation import CallerAuth
from worker.core.errors import WorkerError
from worker.metrics import Metrics
from worker.web.public import PeerLimits, serve_public

SECRET = "swordfish"
DOORS = {
    "/webhooks/signed": CallerAuth("signature", header="Token", secrets=(SECRET,)),
    "/runbooks/hex": CallerAuth("signature", header="X-Signature", secrets=("old", "new"), algorithm="sha512", digest="hex", prefix="sha512="),
    "/runbooks/basic": CallerAuth("basic", username="sam", password="päss:word"),
}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Stranger:
    """Speaks to the port in raw bytes."""

    port: int

    @asynccontextmanager
    async def line(self, origin: str = "127.0.0.1") -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(origin, 0))
        try:
            yield reader, writer
        finally:
            writer.close()

    async def say(self, raw: bytes, origin: str = "127.0.0.1") -> Answer:
        """Send these bytes and read the answer to its end. `origin`: another address of loopback is another peer."""
        async with self.line(origin) as (reader, writer):
            writer.write(raw)
            return await answer_of(reader)

    async def post(self, path: str, body: bytes, *, method: str = "POST", **headers: str) -> Answer:
        return await self.say(request(path, body, method=method, **headers))

    async def signed(self, path: str, document: Any, secret: str = SECRET) -> Answer:
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        return await self.post(path, body, Token=token(body, secret))


def token(body: bytes, secret: str = SECRET) -> str:
    """As Halo signs."""
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def request(path: str, body: bytes = b"", *, method: str = "POST", **headers: str) -> bytes:
    sent = {"Host": "x", "Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in sent.items() if value)
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def answer_of(reader: asyncio.StreamReader, within: float = SOON) -> Answer:
    async with asyncio.timeout(within):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        return Answer(int(head[0].split()[1]), headers, await reader.readexactly(int(headers["Content-Length"])))


@dataclass
class Receiver:
    """Stands for what stores the deliveries."""

    taken: list[tuple[str, list[Any]]] = field(default_factory=list)
    away: WorkerError | None = None
    hold: asyncio.Event | None = None

    async def receive(self, path: str, documents: Any) -> dict[str, Any]:
        if self.away is not None:
            raise self.away
        if self.hold is not None:
            await self.hold.wait()
        self.taken.append((path, list(documents)))
        return {"accepted": len(documents)}


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def open_port(receiver: Receiver, metrics: Metrics) -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def opened(doors: dict[str, CallerAuth] = DOORS, **peers: Any) -> Stranger:
            return Stranger(await stack.enter_async_context(serve_public("127.0.0.1", 0, doors, receiver.receive, metrics, PeerLimits(**peers))))

        yield opened


@pytest.fixture
async def stranger(open_port: Callable[..., Any]) -> Stranger:
    return await open_port()
