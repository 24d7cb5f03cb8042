"""Sends one HTTP request to Halo, an authorisation server or another API: returns an answer, or why there is none. Network errors are not raised."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from io import BytesIO

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from worker import __version__
from worker.config.routes import Client
from worker.core.bodies import LARGE, Decompressor, compression_of
from worker.core.errors import ConfigError, Oversized, Problem, Undecodable
from worker.halo.failures import NETWORK_ERRORS, Interrupted, describe, is_refused
from worker.halo.tls import tls_context

ANSWER_LIMIT = 64 * 1024 * 1024  # a list without paging was seen with 36 MB
ANSWER_VALUES = 4_000_000  # the values of such a list; most of Halo's are numbers and flags, of some 40 bytes each
ERROR_LIMIT = 1024 * 1024
CHUNK = 256 * 1024
PIECEWISE = 1024 * 1024
CONNECT_LIMIT = 15.0
TOTAL_FACTOR = 4  # a large list takes longer in all than the pause between two of its bytes; an answer of one byte a second must end too
KEEPALIVE = 2.0
"""Seconds for which the worker may use an idle connection again. A server that closes an idle connection just as we send makes a create doubtful. No server
closes that early, and a busy worker still saves the handshakes (a new connection for each write costs two more round trips with TLS)."""
UNLIMITED = nullcontext()
TOO_LARGE = "the answer is larger than"
OURS = frozenset({"authorization", "host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


@dataclass(frozen=True, slots=True)
class Call:
    """A request to send. Headers and data may hold secrets."""

    method: str
    url: URL
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    data: bytes | None = field(default=None, repr=False)
    timeout: float | None = None
    """Seconds for the whole call, in place of the session's limits (except those for connecting)."""
    not_after: float | None = None
    """The monotonic time after which its first byte must not be written."""
    name: str = ""
    """The full name of an integration's method; empty for a request to Halo."""
    customer: str = ""
    """The key of the customer for whom it is sent, if the integration has customers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a call. `body`: None when it could not be read to its end; `problem` says why. `local`: made on this machine, and nothing was sent."""

    status: int
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    """Headers with names in lower case. Of a repeated header the last one counts; all `link` headers are joined into one text."""
    body: bytes | None = field(default=b"", repr=False)
    problem: str = ""
    local: bool = False
    cookies: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_large(self) -> bool:
        """Whether the body is so large that it must be read in a thread."""
        return self.body is not None and len(self.body) > LARGE

    @property
    def oversized(self) -> bool:
        return self.problem.startswith(TOO_LARGE)

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")

    @property
    def media_type(self) -> str:
        return self.content_type.partition(";")[0].strip().lower()

    @property
    def is_page(self) -> bool:
        """Whether the body is a web page instead of data."""
        return self.media_type in {"text/html", "application/xhtml+xml"} or (self.body or b"")[:64].lstrip().lower().startswith((b"<!doctype html", b"<html"))

    @property
    def target(self) -> str:
        """The host that a redirect points to."""
        try:
            return URL(self.headers.get("location", "")).host or "the same host"
        except ValueError:
            return "an address that is not valid"


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer. `sent`: part of the request may have arrived. `interrupted`: the connection ended before the answer began. `refused`: its target is not
    allowed. `withheld`: its time to be sent was over.
    """

    reason: str
    sent: bool
    interrupted: bool = False
    refused: bool = False
    withheld: bool = False


class TooLate(Exception):
    """It is too late to send the request."""


@dataclass(slots=True)
class SendMarker:
    """Whether the request began to be written. `not_after`: as in `Call`."""

    not_after: float | None
    sent: bool = False

    def begin(self) -> None:
        """Note that the first byte is about to be written. Raises `TooLate`."""
        if self.not_after is not None and asyncio.get_running_loop().time() > self.not_after:  # a process may be stopped at any moment, and go on an hour later
            raise TooLate
        self.sent = True

    async def once(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Let the request set this mark, and keep aiohttp from repeating a GET or DELETE: the budget would not count it, and a DELETE would get a 404."""
        if not isinstance(request, MarkedClientRequest):
            raise TypeError("a session of `open_session` makes marked requests")
        request.marker = self
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise Interrupted from error


class MarkedClientRequest(aiohttp.ClientRequest):
    """Sets its mark after it has a connection and before it writes. aiohttp's traces show the same, but cost some 20 further calls a request."""

    marker: SendMarker | None = None

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        if self.marker is not None:
            self.marker.begin()
        return await super().send(conn)


Send = Callable[[Call], Awaitable[Answer | Failure]]


@asynccontextmanager
async def open_transport(client: Client, answer_limit: int = ANSWER_LIMIT, socket_factory: aiohttp.SocketFactoryType | None = None) -> AsyncIterator[Send]:
    """Open the transport of one client to Halo. `socket_factory` may refuse connections. Raises `ConfigError` when its CA file or headers cannot be used."""
    connect = min(CONNECT_LIMIT, client.timeout)
    limits = aiohttp.ClientTimeout(total=connect + TOTAL_FACTOR * client.timeout, connect=connect, sock_connect=connect, sock_read=client.timeout)
    headers = {"Accept": "application/json"} | _own_headers(client)
    connector = new_connector(tls_context(f"client {client.name}", client.ca_file), socket_factory or giving_up_after(client.timeout))
    async with open_session(connector, limits, headers, answer_limit, proxy=client.proxy) as send:
        yield send


def giving_up_after(seconds: float) -> aiohttp.SocketFactoryType:
    """Makes sockets that give up unacknowledged data in time. The system would try for a quarter of an hour: a create could arrive long after its timeout."""

    def new_socket(address: aiohttp.AddrInfoType) -> socket.socket:
        made = socket.socket(address[0], address[1], address[2])
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(seconds * 1000))
        return made

    return new_socket


def new_connector(tls: ssl.SSLContext, socket_factory: aiohttp.SocketFactoryType | None = None) -> aiohttp.TCPConnector:
    # no limit of connections: flows limit their requests in flight, and a wait for a place in the pool would look like a server that does not answer
    return aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE, ssl=tls, ttl_dns_cache=30, socket_factory=socket_factory)


@asynccontextmanager
async def open_session(
    connector: aiohttp.TCPConnector, limits: aiohttp.ClientTimeout, headers: Mapping[str, str], answer_limit: int, proxy: str | None = None
) -> AsyncIterator[Send]:
    """Open a session that sends requests without cookies, redirects, or settings from the environment. `headers`: defaults for each call."""
    headers = {"User-Agent": f"halo-worker/{__version__}", "Accept-Encoding": "gzip, deflate", **headers}
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=limits,
        headers=headers,
        proxy=proxy,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # `Decompressor` limits the size while it decompresses
        skip_auto_headers=("Content-Type",),
        request_class=MarkedClientRequest,
    ) as session:

        async def send(call: Call) -> Answer | Failure:
            return await _send(session, call, answer_limit)

        yield send


async def _send(session: aiohttp.ClientSession, call: Call, answer_limit: int) -> Answer | Failure:
    marker, own = SendMarker(call.not_after), session.timeout
    limits = own if call.timeout is None else aiohttp.ClientTimeout(connect=own.connect, sock_connect=own.sock_connect)
    request = session.request(
        call.method,
        call.url,
        headers=call.headers,
        data=payload_of(call),
        timeout=limits,
        allow_redirects=False,
        middlewares=(marker.once,),
    )
    try:
        async with UNLIMITED if call.timeout is None else asyncio.timeout(call.timeout), request as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            if "link" in headers:
                headers["link"] = ", ".join(response.headers.getall("link"))
            cookies = {name: morsel.value for name, morsel in response.cookies.items()} if "set-cookie" in headers else {}
            body, problem = await _read(response, answer_limit if response.status < 400 else ERROR_LIMIT, headers.get("content-encoding", ""))  # noqa: PLR2004 - errors start at 400
            return Answer(response.status, headers, body, problem, cookies=cookies)
    except TooLate:
        return Failure("it could not be sent in time, and must not be sent later", sent=False, withheld=True)
    except NETWORK_ERRORS as error:
        return Failure(describe(error, call.url), marker.sent, isinstance(error, Interrupted), is_refused(error))


def payload_of(call: Call) -> bytes | BytesIO | None:
    """The body for aiohttp. It sends a large one piece by piece, without a copy of the whole and without blocking all other work."""
    return BytesIO(call.data) if call.data is not None and len(call.data) > PIECEWISE else call.data


async def _read(response: aiohttp.ClientResponse, limit: int, encoding: str) -> tuple[bytes | None, str]:
    """The body without its compression, or why it cannot be read."""
    chunks: list[bytes] = []
    size = since = 0
    try:
        decompressor = Decompressor(compression, limit) if (compression := compression_of(encoding)) else None
        async for chunk in response.content.iter_chunked(CHUNK):
            for piece in (chunk,) if decompressor is None else decompressor.feed(chunk):
                size += len(piece)
                if size > limit:
                    response.close()
                    return None, too_large(limit)
                chunks.append(piece)
                since += len(piece)
                if since > PIECEWISE:  # a chunk may decompress to a thousand times as much
                    since = 0
                    await asyncio.sleep(0)
        if decompressor is not None:
            decompressor.finish()
    except Oversized:
        response.close()
        return None, too_large(limit)
    except Undecodable as error:
        response.close()
        return None, str(error)
    except TimeoutError:
        return None, "the answer was not complete in time"
    except NETWORK_ERRORS:
        return None, "the answer was cut off"
    return b"".join(chunks), ""


def too_large(limit: int) -> str:
    return f"{TOO_LARGE} {limit // (1024 * 1024)} MiB"


def _own_headers(client: Client) -> dict[str, str]:
    for name, value in client.headers.items():
        if name.lower() in OURS or not (name + value).isprintable():
            raise ConfigError([Problem("", 0, 0, f"client {client.name}: the header {name!r} cannot be set, or its value holds control characters")])
    return dict(client.headers)
