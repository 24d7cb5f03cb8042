"""Bodies of an ordered route that unpack to much more than they are: they are read in turn, and within the memory that all messages share."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import random
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import orjson

from tests.flows.order.intake_world import World
from tests.tools.headers import CODEC
from tests.unit.flows.routes import Given, Ledger
from worker import threads
from worker.broker.memory import attach
from worker.core.bodies import read_message
from worker.core.delivery_state import DeliveryState, OrderStamp
from worker.core.message import Message
from worker.core.topology import order_queue
from worker.flows.consuming import memory as memory_module
from worker.flows.consuming.memory import Memory, Receipts
from worker.flows.ordered.consumer import ordered_publisher_topology
from worker.flows.ordered.lanes import Lanes
from worker.flows.ordered.waiting_queue import PREFETCH, WaitingQueue
from worker.metrics import Metrics

MEBIBYTE = 1024 * 1024


def packed(number: int, size: int) -> Message:
    """A small body with so many bytes in it."""
    body = gzip.compress(orjson.dumps({"id": number, "step": 0, "pad": " " * size, "noise": random.randbytes(1000).hex()}))
    return Message(body, message_id=f"m{number}", content_encoding="gzip")


@dataclass
class Slow:
    """A key whose evaluation takes a while; `most`: evaluations that were under way at once."""

    now: int = 0
    most: int = 0

    async def evaluate(self, context: Any, bindings: Any, evaluator: Any) -> Any:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(50):
            await asyncio.sleep(0)
        self.now -= 1
        return context["id"]


async def test_a_worker_that_takes_over_reads_no_more_of_what_waits_than_has_room_in_its_memory():
    key = Slow()
    world = World(Random(1))
    world.route = replace(world.route, order_by=key)
    async with attach(world.server, "worker") as broker:
        await broker.declare(ordered_publisher_topology(world.route))
        for number in range(12):
            state = DeliveryState(f"m{number}", f"m{number}", order=OrderStamp(number + 1, 1))
            await broker.publish(CODEC.copy(packed(number, MEBIBYTE), world.route.queue, state), routing_key=order_queue(world.route.queue))
        memory = Memory(Receipts(Ledger()), Metrics(), in_flight=4 * MEBIBYTE)
        async with broker.channel(prefetch=PREFETCH, publishing=True) as channel:
            lanes = Lanes(3)
            deps = world._deps()
            await WaitingQueue(replace(deps, services=replace(deps.services, memory=memory)), channel, lanes, 100, lambda: None).load()
            assert len(lanes) == 12
    assert key.most == 1


async def test_the_loop_gets_turns_between_bodies_that_are_unpacked_on_their_way_into_the_waiting_queue(monkeypatch):
    world = World(Random(1), route=replace(World(Random(1)).route, order_by=Given(lambda message: str(message["id"]))))
    turn, measured, read = 0, [], []
    measure = memory_module.measure

    def measuring(*given: Any) -> tuple[int, int]:
        measured.append(turn)
        return measure(*given)

    def reading(*given: Any) -> Any:
        read.append(turn)
        return read_message(*given)

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(memory_module, "measure", measuring)
    monkeypatch.setattr(threads, "read_message", reading)
    async with attach(world.server, "sender") as broker:
        await broker.declare(ordered_publisher_topology(world.route))
        for number in range(10):
            await broker.publish(packed(number, 1024), routing_key=world.route.queue)
    counting = asyncio.create_task(count())
    await world.live(3000)
    counting.cancel()
    for seen in (measured, read):
        assert len(seen) >= 10
        assert min(later - earlier for earlier, later in itertools.pairwise(seen)) >= 4, "an answer of /livez takes three"
