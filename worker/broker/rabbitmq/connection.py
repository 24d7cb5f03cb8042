"""One plain connection to RabbitMQ and its socket: it opens and closes within a timeout, and shows whether the broker blocks it."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator, Awaitable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aio_pika
import aiormq.connection
from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as Methods
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from worker.broker.rabbitmq.failures import FAILURES, asked_to_stop, naming_bare_errors, translate_errors, unreachable
from worker.broker.rabbitmq.turn_writer import TurnWriter
from worker.core.errors import BrokerUnreachable, ChannelLost
from worker.core.url_credentials import NOT_ENCODED, is_encoded

T = TypeVar("T")
CLOSE_TIMEOUT = 2.0  # seconds to close channels and connections when the broker does not answer; then the socket is aborted
OLDEST = (3, 10)
NO_LIMIT = 65_535  # numbers of channels in AMQP
NO_LIMIT_OF_FRAMES = 0
HANGUP = getattr(select, "POLLRDHUP", select.POLLHUP)  # the first is Linux's: the other side closed, also behind bytes that are not read yet


class Socket(TransportFactory):
    """Opens the socket of a connection and can abort it: aiormq's own close waits for the other side, up to half a minute over TLS."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []
        self._hangup = select.poll()

    async def create(self, url: URL, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await factory.create(url, **options)
        self._writers.append(writer)
        self._hangup = select.poll()
        self._hangup.register(writer.get_extra_info("socket").fileno(), HANGUP)
        return reader, writer

    def abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def write_at_once(self, frames: bytes) -> bool:
        """Write whole frames, ahead of those that wait in aiormq's queue. False: the socket takes no bytes now, or the broker has closed it."""
        if not self._writers:
            return False
        transport = self._writers[-1].transport
        if transport.is_closing() or transport.get_write_buffer_size() or self._hangup.poll(0):
            return False
        transport.write(frames)
        return not transport.is_closing()


class AmqpConnection:
    """A connection that does not restore itself, since a half-restored one loses messages."""

    def __init__(self, connection: aio_pika.Connection, socket: Socket) -> None:
        if connection.transport is None:
            raise BrokerUnreachable("the connection to the broker was lost as soon as it was made")
        self._connection = connection
        self._socket = socket
        self._protocol = connection.transport.connection
        self.turn_writer = TurnWriter(socket.write_at_once)
        self._free = asyncio.Semaphore(max(1, self.channel_max - self.channel_max // 50 - 1))  # some channels may still be closing

    @property
    def closing(self) -> asyncio.Future[Any]:
        """Done when the connection is gone; keep a reference to it."""
        return self._protocol.closing

    @property
    def server(self) -> tuple[str, str]:
        """The product and version that the server reports."""
        properties = self._protocol.server_properties
        return as_text(properties.get("product")), as_text(properties.get("version"))

    @property
    def frame_max(self) -> int:
        """The largest frame in bytes that both sides agreed on; 0: no limit. The broker closes the connection for a larger one."""
        return int(self._protocol.connection_tune.frame_max or 0)

    @property
    def channel_max(self) -> int:
        """Channels that may be open at once."""
        return int(self._protocol.connection_tune.channel_max or NO_LIMIT)

    @property
    def blocked(self) -> bool:
        """Whether the broker blocks us. aiormq shows it only by `ready()`, which returns at once unless it is blocked: so run one step of it."""
        ready = self._protocol.ready()
        try:
            ready.send(None)
        except StopIteration:
            return False
        ready.close()
        return True

    @asynccontextmanager
    async def methods(self, call_timeout: float) -> AsyncIterator[Methods]:
        """A bare channel, for a `RabbitChannel` or for a question that the broker may answer by closing it. Raises `ChannelLost`.

        It waits while all channels are open: RabbitMQ closes a connection that opens too many.
        """
        async with self._free, self._opened(call_timeout) as methods:
            yield methods

    @asynccontextmanager
    async def _opened(self, call_timeout: float) -> AsyncIterator[Methods]:
        opened: AbstractChannel | None = None
        try:
            with translate_errors("no channel can be opened"):
                try:
                    opened = self._connection.channel(publisher_confirms=True, on_return_raises=True)
                    async with asyncio.timeout(call_timeout):
                        await self.while_connected(opened.initialize(), "no channel can be opened")
                    methods = await opened.get_underlay_channel()
                except TimeoutError as error:
                    raise ChannelLost("no channel can be opened: the broker does not answer (a memory or disk alarm blocks publishers)") from error
                except RuntimeError as error:  # aio-pika raises it on a closed connection
                    raise ChannelLost("no channel can be opened: the connection is closed") from error
            yield methods
        finally:
            if opened is not None:
                await self._leave(opened.close())

    async def while_connected(self, work: Coroutine[Any, Any, T], failed: str) -> T:
        """The result of `work`. Raises `ChannelLost` if the connection is lost meanwhile: a question to the broker could then wait for ever."""
        task, closing = asyncio.ensure_future(work), self.closing
        task.add_done_callback(retrieve_error)
        try:
            await asyncio.wait({task, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=CLOSE_TIMEOUT)
        if closing.done() and (not task.done() or task.cancelled()):
            raise ChannelLost(f"{failed}: the connection was lost meanwhile")
        return await task

    async def close(self) -> None:
        closing = asyncio.ensure_future(self._connection.close())
        try:
            await self._leave(closing)
        except asyncio.CancelledError:
            self._socket.abort()
            await asyncio.wait([closing], timeout=CLOSE_TIMEOUT)  # one that is left behind, and cancelled with the event loop, never ends: the process hangs
            raise

    async def _leave(self, closing: Awaitable[None]) -> None:
        """Wait a little for a regular close, and ignore its result. If the broker does not answer, abort the whole connection.

        It continues in the background after its caller stopped waiting: an abandoned channel must not end the connection of the others.
        """
        ending = asyncio.gather(closing, return_exceptions=True)
        timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT, self._socket.abort)
        ending.add_done_callback(lambda _: timer.cancel())
        await asyncio.wait([ending], timeout=2 * CLOSE_TIMEOUT)


@asynccontextmanager
async def open_connection(url: str, name: str, heartbeat: int, call_timeout: float) -> AsyncIterator[AmqpConnection]:
    """Open a connection. Raises `BrokerUnreachable` with the reason."""
    confirm_every_close()
    address = parse(url)
    if "heartbeat" not in address.query:
        address = address.update_query(heartbeat=heartbeat)
    underlying, socket = aio_pika.Connection(address, client_properties={"connection_name": name}), Socket()
    underlying.kwargs["transport_factory"] = socket
    try:
        with naming_bare_errors():
            await within(underlying.connect(), call_timeout, socket)
    except asyncio.CancelledError as error:
        if asked_to_stop():
            raise
        raise unreachable(address, error) from error
    except FAILURES as error:
        raise unreachable(address, error) from error
    finally:
        if underlying.transport is None:
            await underlying.close()  # otherwise aio-pika closes it when the object is collected, in any thread
    connection = AmqpConnection(underlying, socket)
    try:
        require_supported(connection)
        yield connection
    finally:
        await connection.close()


def confirm_every_close() -> None:
    """Let any number of frames wait to be written.

    aiormq 7.2.4 lets ten wait. While ten wait, it drops its confirmation of a channel that the broker closes, and uses the channel's number again.
    RabbitMQ then closes the connection for a "second 'channel.open'" or too many channels.
    """
    aiormq.connection.Connection.FRAME_BUFFER_SIZE = NO_LIMIT_OF_FRAMES


async def within(connecting: Coroutine[Any, Any, None], call_timeout: float, socket: Socket) -> None:
    """Connect within `call_timeout` seconds, else raise TimeoutError. After that or a cancellation no socket or task is left."""
    task = asyncio.ensure_future(connecting)
    task.add_done_callback(retrieve_error)
    try:
        done, _ = await asyncio.wait([task], timeout=call_timeout)
    finally:
        if not task.done():
            socket.abort()
            task.cancel()
            await asyncio.wait([task], timeout=CLOSE_TIMEOUT)
    if not done:
        raise TimeoutError
    await task


def retrieve_error(task: asyncio.Future[Any]) -> None:
    """Retrieve the error of a task whose caller may be gone: asyncio logs an error that is never retrieved."""
    if not task.cancelled():
        task.exception()


def parse(url: str) -> URL:
    """The address as a URL. Raises `BrokerUnreachable` if it is no AMQP address; the text does not quote it, since it may hold a password."""
    if not is_encoded(url):
        raise BrokerUnreachable(f"the broker's address cannot be used: {NOT_ENCODED}")
    try:
        address = URL(url)
    except ValueError:
        address = URL()
    if address.scheme not in {"amqp", "amqps"} or not address.host:
        raise BrokerUnreachable("the broker's address is not of the form amqp://user:password@host:5672/vhost (or amqps://)")
    return address


def require_supported(connection: AmqpConnection) -> None:
    """Raise `BrokerUnreachable` for a RabbitMQ without streams and at-least-once dead-lettering. Other products are not checked."""
    product, version = connection.server
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if product == "RabbitMQ" and numbers and numbers < OLDEST:
        raise BrokerUnreachable(f"RabbitMQ {version} is too old: 3.10 or newer is needed")


def as_text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, (bytes, bytearray)) else str(value)
