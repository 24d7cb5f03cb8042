"""Who gives the workers something to do: senders that remember what the broker confirmed, users who change tickets, and a listener that remembers every event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import count
from random import Random
from typing import Any
from uuid import uuid4

import orjson

from tests.chaos.routes import CHANGED, NOTED, PERSON
from tests.tools.invariants import Heard, Sent
from tests.tools.job import listening
from worker.broker.open import open_broker
from worker.changes.records import content_hash
from worker.core.errors import BrokerError, PublishRefused, Unroutable
from worker.core.message import Message
from worker.core.ports import Broker
from worker.sandbox.simulated_halo import SimulatedHalo

PATIENCE = 10.0
PAUSE = 0.3


class Load:
    """`sent` is what the broker has, or may have; `heard` what came out of it."""

    def __init__(self, url: str, halo: SimulatedHalo, seed: int) -> None:
        self.sent: list[Sent] = []
        self.heard: list[Heard] = []
        self._url = url
        self._halo = halo
        self._random = Random(seed)
        self._numbers = count(1)
        self._broker: Broker | None = None
        self._attached = asyncio.Event()
        self._lanes = {place: (2 + place, 0) for place in range(6)}
        self._next_lane = count(2 + len(self._lanes))
        self._changes = count(1)

    async def serve(self) -> None:
        """Stay attached and listen until cancelled, whatever the broker does."""
        while True:
            with suppress(BrokerError, OSError, TimeoutError):
                async with open_broker(self._url, name="other system", heartbeat=5, publish_timeout=PATIENCE) as broker, listening(broker) as listener:
                    known = 0
                    self._broker = broker
                    self._attached.set()
                    while not broker.lost:
                        await asyncio.sleep(0.05)
                        for letter in listener.letters[known:]:
                            self.heard.append(Heard(letter.body["id"], letter.body["summary"], letter.key, content_hash(letter.body)))
                        known = len(listener.letters)
            self._attached.clear()
            await asyncio.sleep(PAUSE)

    async def send(self, key: str, queue: str, document: Any, *, again: bool = False, **about: Any) -> bool:
        """Once; whether the broker confirmed it. `again`: until it does, for a route that drops copies."""
        while True:
            await self._attached.wait()
            broker = self._broker
            if broker is None:
                continue
            try:
                await broker.publish(Message(orjson.dumps(document), {"customer": PERSON}, message_id=uuid4().hex), routing_key=queue)
            except (Unroutable, PublishRefused):  # certainly not there
                await asyncio.sleep(PAUSE)
            except BrokerError:
                if not again:
                    self.sent.append(Sent(key, sure=False, **about))
                    return False
                await asyncio.sleep(PAUSE)
            else:
                self.sent.append(Sent(key, **about))
                return True

    async def asset(self, queue: str = "assets", *, parkable: bool = False) -> None:
        key = f"key-{queue}-{next(self._numbers)}"
        await self.send(key, queue, {"payload": {"inventory_number": key, "notes": PERSON}}, parkable=parkable)

    async def supplier(self) -> None:
        """Sometimes twice: the route always looks."""
        key = f"key-suppliers-{next(self._numbers)}"
        await self.send(key, "suppliers", {"payload": {"name": key, "notes": PERSON}})

    async def twice(self) -> None:
        """A sender that is never sure, and sends everything two times."""
        key = f"key-twice-{next(self._numbers)}"
        for _ in range(2):
            await self.send(key, "twice", {"payload": {"inventory_number": key, "notes": PERSON}}, again=True)

    async def lane(self) -> None:
        """The next of one lane. After a doubt a new lane begins: nobody knows where the doubtful one comes to stand."""
        place = self._random.choice(list(self._lanes))
        asset, number = self._lanes[place]
        key = f"key-lanes-{next(self._numbers)}"
        self._lanes[place] = asset, number + 1
        if not await self.send(key, "lanes", {"payload": {"id": asset, "notes": f"{PERSON} {key}"}}, lane=f"asset {asset}", number=number):
            self._lanes[place] = next(self._next_lane), 0

    async def touch(self) -> None:
        """We change a ticket too, which is no news to the listener; what somebody else changes right before or after it is."""
        key = f"key-touched-{next(self._numbers)}"
        await self.send(key, "touched", {"payload": {"id": self._random.choice(CHANGED), "details": f"{PERSON} {key}"}})

    async def note(self) -> None:
        key = f"key-notes-{next(self._numbers)}"
        await self.send(key, "notes", {"ticket": self._random.choice(NOTED), "text": f"{PERSON} {key}"})

    async def change(self) -> None:
        """Somebody else changes a ticket in Halo."""
        self._halo.store.update("tickets", self._random.choice(CHANGED), {"summary": f"change {next(self._changes)}", "details": PERSON})

    def latest(self) -> dict[int, str]:
        return {key: self._halo.store.get("tickets", key)["summary"] for key in CHANGED}

    @property
    def kinds(self) -> list[tuple[Callable[[], Awaitable[None]], float]]:
        """What is done, and how often each second."""
        blind = partial(self.asset, "blind", parkable=True)
        creates = [(self.asset, 6.0), (self.supplier, 1.0), (blind, 1.0), (self.twice, 1.0), (self.note, 1.0)]
        return [*creates, (self.lane, 4.0), (self.change, 4.0), (self.touch, 2.0)]

    async def everything(self, stop: asyncio.Event, pace: float = 1.0) -> None:
        """All kinds at once until `stop`. Those that are under way come to their end."""
        async with asyncio.TaskGroup() as tasks:
            for deed, rate in self.kinds:
                tasks.create_task(self._steadily(deed, 1 / rate / pace, stop))

    async def _steadily(self, deed: Callable[[], Awaitable[None]], pause: float, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await deed()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)


@asynccontextmanager
async def load_of(url: str, halo: SimulatedHalo, seed: int) -> AsyncIterator[Load]:
    async with AsyncExitStack() as stack:
        load = Load(url, halo, seed)
        serving = asyncio.create_task(load.serve())
        stack.callback(serving.cancel)
        yield load
