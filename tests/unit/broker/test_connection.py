"""Leaving a broker that does not answer: politely first, then by tearing off the socket."""

from __future__ import annotations

import asyncio
import gc
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from tests.tools.waiting import SOON
from worker.broker.rabbitmq import attachment
from worker.broker.rabbitmq import connection as module
from worker.broker.rabbitmq.connection import AmqpConnection, require_supported, within
from worker.broker.rabbitmq.connections import AmqpConnections
from worker.broker.rabbitmq.failures import unreachable
from worker.core.errors import BrokerUnreachable, ChannelLost
from worker.core.topology import Topology


class Socket:
    """Tells whether it was torn; whoever waits for the other side is then released."""

    def __init__(self) -> None:
        self.torn = asyncio.Event()

    def abort(self) -> None:
        self.torn.set()

    def write_at_once(self, _: bytes) -> bool:
        return False


TUNE = SimpleNamespace(channel_max=0)


def transport(closing: asyncio.Future[None] | None = None) -> SimpleNamespace:
    return SimpleNamespace(connection=SimpleNamespace(closing=closing, connection_tune=TUNE))


class Connection:
    """One whose polite end waits for an answer that does not come, or fails."""

    transport = transport()

    def __init__(self, socket: Socket, *, answers: bool) -> None:
        self._socket = socket
        self._answers = answers
        self.closed = False

    async def close(self) -> None:
        if not self._answers:
            await self._socket.torn.wait()
            for _ in range(5):  # turns of the event loop, as the library's close takes them
                await asyncio.sleep(0)
            self.closed = True
            raise ConnectionResetError
        self.closed = True


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.05)


async def test_a_broker_that_answers_is_left_politely():
    socket = Socket()
    connection = Connection(socket, answers=True)
    await AmqpConnection(connection, socket).close()
    assert (connection.closed, socket.torn.is_set()) == (True, False)


async def test_a_broker_that_does_not_answer_loses_its_socket():
    socket = Socket()
    connection = Connection(socket, answers=False)
    async with asyncio.timeout(SOON):
        await AmqpConnection(connection, socket).close()
    assert (connection.closed, socket.torn.is_set()) == (True, True)


async def test_who_is_cancelled_while_leaving_tears_the_socket_too_and_leaves_no_close_behind():
    socket = Socket()
    connection = Connection(socket, answers=False)
    leaving = asyncio.create_task(AmqpConnection(connection, socket).close())
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert socket.torn.is_set()
    assert connection.closed, "the library's close, cancelled in its middle, would wait for ever"


async def test_connecting_that_takes_too_long_is_torn_and_leaves_nothing():
    socket = Socket()
    ended = asyncio.Event()

    async def connecting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await within(connecting(), 0.05, socket)
    assert (socket.torn.is_set(), ended.is_set()) == (True, True)


def opening_connection(channel: object, closing: asyncio.Future[None]) -> AmqpConnection:
    """Over a connection that opens this channel and ends with `closing`."""
    connection = Connection(Socket(), answers=True)
    connection.transport = transport(closing)
    connection.channel = lambda **_: channel
    return AmqpConnection(connection, Socket())


async def opened(amqp_connection: AmqpConnection) -> None:
    async with amqp_connection.methods(call_timeout=30):
        pass


class OpeningForEver:
    """A channel that the library leaves waiting, although its connection has gone."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = False

    async def initialize(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("reason", [None, ConnectionResetError("reset by peer")])
async def test_whoever_opens_a_channel_when_the_connection_goes_does_not_wait_for_his_patience(reason: Exception | None):
    opening = OpeningForEver()
    closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asking = asyncio.create_task(opened(opening_connection(opening, closing)))
    await opening.begun.wait()
    closing.set_exception(reason) if reason else closing.cancel()
    with pytest.raises(ChannelLost, match=r"no channel can be opened: ."):
        await asyncio.wait_for(asking, SOON)
    assert opening.cancelled


async def test_whoever_declares_queues_when_the_connection_goes_does_not_wait_for_his_patience(monkeypatch: pytest.MonkeyPatch):
    asked = asyncio.Event()

    async def unanswered(*_: object) -> None:
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(attachment, "declare", unanswered)
    closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    connection = Connection(Socket(), answers=True)
    connection.transport = transport(closing)
    amqp_connection = AmqpConnection(connection, Socket())
    connections = AmqpConnections(amqp_connection, lambda _: nullcontext(amqp_connection))
    declaring = asyncio.create_task(attachment.RabbitBroker(connections, connections, 30).declare(Topology()))
    await asked.wait()
    closing.cancel()
    with pytest.raises(ChannelLost, match="queues cannot be declared: the connection was lost"):
        await asyncio.wait_for(declaring, SOON)


async def test_a_connection_that_ended_before_the_attachment_was_made_is_told_to_it():
    """Seen when the second connection took long: the attachment lived on without the first."""
    closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    connection = Connection(Socket(), answers=True)
    connection.transport = transport(closing)
    connections = AmqpConnections(AmqpConnection(connection, Socket()), lambda _: nullcontext())
    closing.cancel()
    await asyncio.sleep(0)
    told: list[object] = []
    connections.watch(told.append)
    await asyncio.sleep(0)
    assert told == [closing]


async def test_a_further_connection_that_cannot_be_made_costs_one_channel_and_not_the_attachment():
    connection = Connection(Socket(), answers=True)
    connection.transport = transport(asyncio.get_running_loop().create_future())
    connection.transport.connection.connection_tune = SimpleNamespace(channel_max=2)

    def refused(_: int) -> None:
        raise BrokerUnreachable("no more connections")

    connections = AmqpConnections(AmqpConnection(connection, Socket()), refused)
    async with connections.with_room():
        with pytest.raises(ChannelLost, match="no channel can be opened: no more connections"):
            async with connections.with_room():
                pass
    async with connections.with_room() as again:
        assert again is connections.first


class OpeningTooLate:
    """A channel whose connection goes while its caller is cancelled."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()

    async def initialize(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise RuntimeError("the connection is closed") from None

    async def close(self) -> None:
        pass


async def test_a_channel_that_fails_after_its_caller_was_cancelled_leaves_no_error_for_the_log():
    opening, loop = OpeningTooLate(), asyncio.get_running_loop()
    logged: list[str] = []
    loop.set_exception_handler(lambda _, context: logged.append(context["message"]))
    asking = asyncio.create_task(opened(opening_connection(opening, loop.create_future())))
    await opening.begun.wait()
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()
    del asking
    gc.collect()
    assert logged == []


@pytest.mark.parametrize(
    ("product", "version"), [("RabbitMQ", "3.10.0"), ("RabbitMQ", "4.3.7"), ("LavinMQ", "1.2.3"), ("RabbitMQ", "unknown"), ("RabbitMQ", "10.0")]
)
def test_supported_servers_are_taken(product: str, version: str):
    require_supported(type("Told", (), {"server": (product, version)})())


@pytest.mark.parametrize("version", ["3.9.29", "2.8.1"])
def test_a_server_that_is_too_old_is_told(version: str):
    with pytest.raises(BrokerUnreachable, match=f"RabbitMQ {version} is too old: 3.10 or newer is needed"):
        require_supported(type("Told", (), {"server": ("RabbitMQ", version)})())


@pytest.mark.parametrize("rest", ["p@hunter2/word@host", "12/hunter2@host", "hunter2#x@host", "12?hunter2@host", "p@hunter2@host", "a%hunter2@host"])
def test_an_address_whose_password_is_not_encoded_is_never_taken_apart(rest: str):
    with pytest.raises(BrokerUnreachable, match="is not percent-encoded") as told:
        module.parse(f"amqp://user:{rest}")
    assert "hunter2" not in f"{told.value} {told.value.__cause__} {told.value.__context__}"


def test_an_encoded_password_is_taken():
    address = module.parse("amqps://us%40er:p%40ss%2Fw%23rd@host:5671/v?cafile=/ca.pem")
    assert (address.user, address.password, address.host, address.port) == ("us@er", "p@ss/w#rd", "host", 5671)


def test_what_the_library_says_of_a_failed_connection_is_told_without_the_password():
    address = module.parse("amqp://user:hunter2%2F@host/")
    for text in ("no hunter2/ here", "no hunter2%2F here"):
        assert "hunter2" not in str(unreachable(address, RuntimeError(text)))
