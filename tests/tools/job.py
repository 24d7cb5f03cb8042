"""The main job on a stage: a simulated Halo, route definitions that fit it, and the other system at the broker."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import orjson

from tests.tools.waiting import SOON, until
from worker.core.clock import SystemClock
from worker.core.delivery_state import DeliveryState, OrderStamp
from worker.core.errors import Undecodable
from worker.core.header_codec import HeaderCodec
from worker.core.json_codec import decode
from worker.core.message import Delivery, Message, up_to
from worker.core.ports import Broker
from worker.core.topology import AmqpExchange, Binding, Queue, Topology, browsable_queue
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.state.keys import shared_key

EVENTS = "events"
LARGEST = 128 * 1024 * 1024  # bytes of a body that the other system reads


def client(halo: SimulatedHalo, **more: Any) -> dict[str, Any]:
    """A client's definition for this Halo, without a budget: most tests are about something else."""
    auth = {"type": "client_credentials", "client_id": halo.settings.client_id, "client_secret": halo.settings.client_secret}
    return {"url": halo.url, "auth": auth, "rate_limit": "none"} | more


def subscriber(**more: Any) -> dict[str, Any]:
    """Tickets, often, from the beginning, into the queue `events`."""
    return {"client": "main", "entity": "Tickets", "every": "200ms", "start": "beginning", "queue": EVENTS} | more


def publisher(**more: Any) -> dict[str, Any]:
    """Assets out of the queue `assets`, with hardly any delay between attempts."""
    return {"client": "main", "queue": "assets", "entity": "Asset", "retry": ["50ms", "100ms"]} | more


def routes(halo: SimulatedHalo, *, subscribers: dict[str, Any] | None = None, publishers: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    """A route file with one client, `main`; `members` are more of the client's."""
    return {"clients": {"main": client(halo, **members)}, "subscribers": subscribers or {}, "publishers": publishers or {}}


@dataclass(frozen=True)
class Letter:
    """A message that was taken from a queue, and where it was."""

    message: Message
    exchange: str
    routing_key: str

    @property
    def body(self) -> Any:
        """Its JSON, or the bytes where it is none."""
        try:
            return decode(self.message.body)
        except Undecodable:
            return self.message.body

    @property
    def headers(self) -> dict[str, Any]:
        return dict(self.message.headers)

    @property
    def key(self) -> str:
        return str(self.message.headers.get("dedupe-key"))

    @property
    def change(self) -> str:
        return str(self.message.headers.get("cloudEvents_type")).rpartition(".")[2]


def letter_of(delivery: Delivery) -> Letter:
    return Letter(delivery.message, delivery.exchange, delivery.routing_key)


@dataclass(frozen=True)
class OtherSystem:
    """What stands on the other side of the broker: it sends messages and takes events."""

    broker: Broker
    _codec: HeaderCodec = field(default_factory=HeaderCodec)

    async def declare(self, *queues: str, exchange: str | None = None, routing_key: str = "#") -> None:
        """Queues as the worker would have them, bound to a topic exchange when one is named."""
        exchanges = (AmqpExchange(exchange),) if exchange else ()
        bindings = tuple(Binding(exchange, routing_key, queue) for queue in queues) if exchange else ()
        await self.broker.declare(Topology(exchanges, tuple(browsable_queue(queue) for queue in queues), bindings))

    async def declare_as(self, queue: str, arguments: dict[str, Any]) -> None:
        await self.broker.declare(Topology(queues=(Queue(queue, arguments),)))

    async def send(self, document: Any, queue: str = "assets", exchange: str = "", headers: dict[str, Any] | None = None, **properties: Any) -> str:
        """Publish; bytes go as they are. Returns the message's id."""
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        message = Message(body, headers or {}, **({"message_id": uuid4().hex} | properties))
        await self.broker.publish(message, routing_key=queue, exchange=exchange)
        return message.message_id

    async def codec(self) -> HeaderCodec:
        """The codec of the workers of this virtual host."""
        if not self._codec.key:
            self._codec.key = await shared_key(self.broker, SystemClock())
        return self._codec

    async def put_into_room(self, document: Any, sequence: int, *, home: str = "assets", message_id: str = "", starts: int = 0, **state: Any) -> None:
        """As a worker puts a message into the waiting room of `home`."""
        codec = await self.codec()
        stamped = DeliveryState(message_id or uuid4().hex, "c", "", home, order=OrderStamp(sequence, 0, starts=starts), **state)
        await self.broker.publish(codec.copy(Message(orjson.dumps(document)), home, stamped), routing_key=f"{home}.order")

    async def depth(self, queue: str) -> int:
        return await self.broker.queue_depth(queue) or 0

    async def take(self, queue: str, within: float = SOON) -> Letter:
        """The next message of a queue, as soon as there is one."""

        async def something() -> bool:
            return await self.depth(queue) > 0

        async with asyncio.timeout(within):
            while True:
                await until(something, within)
                async with self.broker.channel() as channel:
                    if (delivery := await channel.get(queue, keep=up_to(LARGEST))) is not None:
                        await delivery.ack()
                        return letter_of(delivery)

    async def drain(self, queue: str) -> list[Letter]:
        """All that is in a queue now."""
        letters = []
        async with self.broker.channel() as channel:
            while (delivery := await channel.get(queue, keep=up_to(LARGEST))) is not None:
                await delivery.ack()
                letters.append(letter_of(delivery))
        return letters

    async def take_all(self, queue: str, count: int, within: float = SOON) -> list[Letter]:
        """This many messages, waiting for each, and whatever more is there by then."""
        async with asyncio.timeout(within):
            letters: list[Letter] = []
            while len(letters) < count:
                letters.append(await self.take(queue, within))
                letters += await self.drain(queue)
            return letters

    async def settles(self, queue: str, depth: int = 0, within: float = SOON) -> None:
        """Until this many messages are ready in a queue."""

        async def so_many() -> bool:
            return await self.depth(queue) == depth

        await until(so_many, within)


@dataclass
class Listener:
    """Hears a queue while the worker lives and dies: every event once, by id and dedupe key."""

    letters: list[Letter] = field(default_factory=list)
    _waiting: list[tuple[int, asyncio.Event]] = field(default_factory=list)

    def heard(self, letter: Letter) -> None:
        self.letters.append(letter)
        for count, event in self._waiting:
            if len(self.letters) >= count:
                event.set()

    @property
    def keys(self) -> Counter[str]:
        return Counter(letter.key for letter in self.letters)

    @property
    def ids(self) -> set[Any]:
        return {letter.body["id"] for letter in self.letters}

    async def hears(self, count: int, within: float = SOON) -> None:
        """Until that many events came in all."""
        event = asyncio.Event()
        self._waiting.append((count, event))
        if len(self.letters) < count:
            async with asyncio.timeout(within):
                await event.wait()


@asynccontextmanager
async def listening(broker: Broker, queue: str = EVENTS, exchange: str = "halo", routing_key: str = "#") -> AsyncIterator[Listener]:
    """A listener on a queue of its own, which is bound to the exchange of events."""
    await OtherSystem(broker).declare(queue, exchange=exchange, routing_key=routing_key)
    listener = Listener()
    acks: set[asyncio.Future[None]] = set()

    def hear(delivery: Delivery) -> None:
        listener.heard(letter_of(delivery))
        acks.add(ack := asyncio.ensure_future(delivery.ack()))
        ack.add_done_callback(acks.discard)

    async with broker.channel(prefetch=50) as channel:
        tag = await channel.consume(queue, hear)
        yield listener
        with suppress(Exception):
            await channel.cancel(tag)
        await asyncio.gather(*acks, return_exceptions=True)
