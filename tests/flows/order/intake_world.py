"""An intake and a waiting queue on the embedded broker, whose confirms come late and whose worker dies at any moment."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, cast

import orjson

from tests.tools.evaluating import InProcess
from tests.tools.headers import CODEC
from tests.unit.flows.routes import Given, Impatient, Ledger, publisher
from worker.broker.memory import MemoryServer, attach
from worker.config.routes import Publisher
from worker.core.bodies import read_message
from worker.core.errors import PublishDoubtful, PublishRefused
from worker.core.health import Health
from worker.core.message import Message
from worker.core.ports import Broker, Channel
from worker.core.topology import order_queue
from worker.flows.consuming.memory import Memory, Receipts
from worker.flows.consuming.services import ConsumerServices
from worker.flows.consuming.settlement_executor import ReadinessProblem, SettlementExecutor
from worker.flows.ordered.consumer import ordered_publisher_topology
from worker.flows.ordered.intake import Intake
from worker.flows.ordered.lane_runner import RunnerDeps
from worker.flows.ordered.lanes import Lanes
from worker.flows.ordered.messages import WaitingMessage
from worker.flows.ordered.waiting_queue import PREFETCH, WaitingQueue
from worker.metrics import Metrics

PART = "publisher assets"
NEVER = 10_000


@dataclass
class ShakyChannel:
    """Takes turns of the event loop before and after a copy is stored, refuses some, and does not know of others whether they are."""

    channel: Channel
    random: Random
    under_way: int = 0
    most: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel, name)

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        self.under_way += 1
        self.most.append(self.under_way)
        try:
            await self._turns()
            chance = self.random.random()
            if chance < 0.1:
                for _ in range(10):  # those behind it are stored meanwhile
                    await self._turns()
                raise PublishRefused("the queue is full")
            await self.channel.publish(message, routing_key=routing_key, exchange=exchange)
            await self._turns()
            if chance < 0.2:
                raise PublishDoubtful("no confirm came")
        finally:
            self.under_way -= 1

    async def _turns(self) -> None:
        for _ in range(self.random.randrange(12)):
            await asyncio.sleep(0)


@dataclass
class ShakyBroker:
    broker: Broker
    random: Random
    most: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.broker, name)

    @asynccontextmanager
    async def channel(self, *, prefetch: int = 0, publishing: bool = False) -> AsyncIterator[Channel]:
        async with self.broker.channel(prefetch=prefetch, publishing=publishing) as channel:
            yield cast("Channel", ShakyChannel(channel, self.random, most=self.most))


@dataclass
class World:
    """Messages `{id, step}`; `applied`: the steps of each key in the order in which they were applied."""

    random: Random
    route: Publisher = field(default_factory=lambda: publisher(order_by=Given(lambda message: str(message["id"])), concurrency=3))
    server: MemoryServer = field(default_factory=MemoryServer)
    applied: defaultdict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    most: list[int] = field(default_factory=list)

    async def send(self, count: int, keys: int) -> dict[int, list[int]]:
        """Messages of these keys, mixed; the steps of each key as they were sent."""
        sent = defaultdict(list)
        async with attach(self.server, "sender") as broker:
            await broker.declare(ordered_publisher_topology(self.route))
            for step in range(count):
                key = self.random.randrange(keys)
                sent[key].append(step)
                await broker.publish(Message(orjson.dumps({"id": key, "step": step}), message_id=f"m{step}"), routing_key=self.route.queue)
        return dict(sent)

    async def live(self, turns: int) -> None:
        """One worker, which dies after some turns of the event loop."""
        async with attach(self.server, "worker") as attached:
            broker = cast("Broker", ShakyBroker(attached, self.random, self.most))
            async with attached.channel(prefetch=PREFETCH, publishing=True) as channel:
                life = asyncio.create_task(self._life(broker, channel))
                for _ in range(turns):
                    await asyncio.sleep(0)
                    if life.done():
                        break
                life.cancel()
                with suppress(asyncio.CancelledError):
                    await life

    async def _life(self, broker: Broker, channel: Channel) -> None:
        deps = self._deps()
        lanes: Lanes[WaitingMessage] = Lanes(3)
        ready = asyncio.Event()
        waiting = WaitingQueue(deps, channel, lanes, NEVER, ready.set)
        await waiting.load()
        settler = SettlementExecutor(self.route.name, self.route.queue, (), broker, CODEC, deps.services.clock, ReadinessProblem(deps.services.health, PART))
        bodyless = deps.services.bodyless(self.route.name, PART, rejectable=True)
        last = lanes.newest
        intake = Intake(deps, broker, settler, lanes, bodyless, 0 if last is None else last[0], most=NEVER, ready=ready.set)
        parts = [asyncio.create_task(part) for part in (intake.run(asyncio.Event()), waiting.consume(), waiting.ack_surplus(), self._apply(lanes, ready))]
        try:
            await asyncio.gather(*parts)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _apply(self, lanes: Lanes[WaitingMessage], ready: asyncio.Event) -> None:
        """What runs is applied and acknowledged in one turn: this is about what may run, and when."""
        while True:
            ready.clear()
            while (entry := lanes.start(0.0)) is not None and entry.item is not None:
                for _ in range(self.random.randrange(4)):
                    await asyncio.sleep(0)
                document = read_message(entry.item.message)
                self.applied[document["id"]].append(document["step"])
                await asyncio.shield(entry.item.ack())
                lanes.finish(entry)
            await ready.wait()

    def _deps(self) -> RunnerDeps:
        metrics, health = Metrics(), Health()
        memory = Memory(Receipts(cast("Any", Ledger())), metrics)
        unused: Any = None
        return RunnerDeps(self.route, PART, unused, unused, InProcess(), ConsumerServices(CODEC, memory, Impatient(), metrics, health, unused), unused)

    async def depths(self) -> tuple[int, int]:
        async with attach(self.server, "observer") as broker:
            return await broker.queue_depth(self.route.queue) or 0, await broker.queue_depth(order_queue(self.route.queue)) or 0


def in_turns(route: Publisher) -> Publisher:
    """The same route without an order: each message is free."""
    return replace(route, order_by=None, fair_by=Given(lambda message: str(message["id"])))
