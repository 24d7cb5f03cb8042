"""A worker's memory under what strangers can send: bounded, nothing lost, and small messages of another route go through meanwhile."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson
import pytest

from tests.tools.job import client, publisher
from tests.tools.waiting import until
from worker.broker.open import open_broker
from worker.core.message import Message
from worker.sandbox.faults import Fault, FaultKind

MEBIBYTE = 1024 * 1024
GROWTH = 260  # MiB above an idle worker, which has some 75: with the processes for expressions it fits into 512
EMPTIES = b"[" + b"{}," * (16 * MEBIBYTE // 3 - 2) + b"0]"
ROUTES = [f"r{number}" for number in range(4)]
MANY = 2_000


def resident(pid: int, what: str) -> int:
    """MiB: `VmRSS` now, `VmHWM` at most so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) // 1024


class Flood:
    """Messages on several routes, with small ones of another route beside them."""

    def __init__(self, stage, halo, broker):
        self.stage = stage
        self.halo = halo
        self.broker = broker
        self.sent = dict.fromkeys(ROUTES, 0)
        self.small = 0

    async def start(self, in_flight="64MiB", **more):
        routes = {name: publisher(queue=name, **more) for name in ROUTES} | {"small": publisher(queue="small", entity="Tickets")}
        self.worker = await self.stage.start(
            {"clients": {"main": client(self.halo, timeout="60s")}, "publishers": routes}, log_level="info", in_flight=in_flight
        )
        self.idle = resident(self.worker.process.pid, "VmHWM")

    async def send(self, name, body):
        await self.broker.publish(Message(body, message_id=f"{name}-{self.sent[name]}"), routing_key=name)
        self.sent[name] += 1

    async def send_small(self):
        self.small += 1
        await self.broker.publish(Message(orjson.dumps({"payload": {"summary": f"small {self.small}", "details": "-"}})), routing_key="small")

    async def dead(self):
        return [await self.broker.queue_depth(f"{name}.dead") or 0 for name in ROUTES]

    async def all_dead(self):
        """Until every message is a letter; a small message gets through before each look."""
        letters = [0] * len(ROUTES)
        while any(there < sent for there, sent in zip(letters, self.sent.values(), strict=True)):  # one is a letter twice when a connection was lost
            await self.send_small()
            await until(self.small_ended)
            letters = await self.dead()

    async def small_ended(self):
        """One whose create was under way when a connection was lost is in doubt, and parked."""
        return sum([await self.worker.metric("messages_total", route="small", result=result) for result in ("done", "dead")]) >= self.small

    @property
    def growth(self):
        return resident(self.worker.process.pid, "VmHWM") - self.idle


@pytest.fixture
async def flood(stage, halos, broker):
    return Flood(stage, await halos(), broker)


@pytest.mark.long
async def test_16_megabytes_of_empty_objects_are_refused_by_their_number_of_values(flood):
    await flood.start()
    for number in range(8):
        await flood.send(ROUTES[number % 4], EMPTIES)
    await flood.all_dead()
    assert flood.growth < GROWTH

    async def told() -> bool:
        return len({letter["message_id"] for letter in flood.worker.log("message.dead")}) >= 8

    await until(told)
    letters = flood.worker.log("message.dead")
    assert {(letter["dead_class"], letter["reason"]) for letter in letters} == {
        ("decode", "the body has more than 1,000,000 names and values; at most 1,000,000 are read")
    }
    assert len({letter["message_id"] for letter in letters}) == 8


async def test_messages_of_100_megabytes_pass_through_unread(flood, rabbitmq, amqp_url):
    if rabbitmq.node is not None:  # a broker of somebody's may carry less, and then cannot send what is tested here
        # RabbitMQ 3.10 reads the setting for each channel; 4.0 keeps what it read at its start as a persistent term.
        rabbitmq.ctl("eval", "application:set_env(rabbit, max_message_size, 134217728), persistent_term:put(max_message_size, 134217728).")
    async with open_broker(amqp_url, name="sender of large messages") as sender:
        flood.broker = sender
        await flood.start()
        for name in ROUTES:
            await flood.send(name, b"x" * 100_000_000)
        await flood.all_dead()

    async def told() -> bool:
        return Counter(letter["dead_class"] for letter in flood.worker.log("message.dead")) == {"decode": 4}

    await until(told)
    assert flood.growth < 60


@pytest.mark.long
async def test_large_messages_that_halo_keeps_waiting_are_done_in_turn(flood):
    await flood.start(concurrency=8)
    held = flood.halo.fault(Fault(FaultKind.HOLD, method="POST", path="/Asset", times=None))
    for number in range(32):
        rows = b",".join(b'{"a":%d}' % row for row in range(50_000))
        body = b'{"payload":{"inventory_number":"SN-%d","notes":"%s","rows":[%s]}}' % (number, b"x" * 4 * MEBIBYTE, rows)
        await flood.send(ROUTES[number % 4], body)

    async def waits():
        return await flood.worker.metric("memory_waiting") > 0

    await until(waits)
    await flood.send_small()
    await until(flood.small_ended)
    flood.halo.faults.remove(held.number)

    async def done():
        return await flood.worker.metric("messages_total", result="done") == 32 + flood.small

    await until(done, 180.0)
    assert flood.growth < GROWTH
    assert await flood.dead() == [0, 0, 0, 0]
    assert len(flood.halo.journal.executed("POST", "/Asset")) == 32


@pytest.mark.long
async def test_many_messages_of_50_kilobytes_take_little_memory(flood):
    await flood.start(concurrency=16)
    for number in range(MANY):
        await flood.send(ROUTES[number % 4], b"[" + b"{}," * 16_000 + b"0]")
    await flood.all_dead()
    assert flood.growth < 120
    assert Counter(letter["dead_class"] for letter in flood.worker.log("message.dead")) == {"decode": MANY}


SENT = 24


async def test_what_waited_for_memory_when_its_worker_was_killed_is_done_and_not_in_doubt(flood):
    await flood.start(in_flight="16MiB", concurrency=8)
    held = flood.halo.fault(Fault(FaultKind.HOLD, method="POST", path="/Asset", times=None))
    for number in range(SENT):
        await flood.send(ROUTES[number % 4], orjson.dumps({"payload": {"inventory_number": f"SN-{number}", "notes": "x" * 2 * MEBIBYTE}}))

    async def all_but_those_at_halo_wait():
        return held.struck > 0 and await flood.worker.metric("memory_waiting") + held.struck == SENT

    await until(all_but_those_at_halo_wait)  # and go on waiting: Halo holds what is at work, so that no memory becomes free
    await flood.worker.kill()
    begun = held.struck
    flood.halo.faults.remove(held.number)
    worker = await flood.stage.start(name="next")

    async def at_an_end():
        done = await worker.metric("messages_total", result="done")
        return done + sum(await flood.dead()) == SENT

    await until(at_an_end, 180.0)
    made = Counter(record["inventory_number"] for entry in flood.halo.journal.executed("POST", "/Asset") for record in entry.body)
    parked = sum(await flood.dead())
    assert max(made.values()) == 1
    assert parked <= begun < SENT / 2, "what waited is not in doubt"
    assert len(made) >= SENT - parked
