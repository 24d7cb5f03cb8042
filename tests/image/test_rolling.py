"""Three replicas under load: the broker goes away and comes back, every worker is replaced by a new one, and the books balance."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from tests.image.engine import GRACE, Container
from tests.image.system import Halo, System, definitions
from tests.tools.job import Letter, OtherSystem
from tests.tools.rabbitmq import RabbitMQ
from tests.tools.waiting import until
from worker.core.topology import dead_queue

MESSAGES, TICKETS = 25, 10  # each second, while there is load
SETTLED = 90.0


@dataclass
class Books:
    """What was put in on either side, and what came of the replacements."""

    serials: list[str] = field(default_factory=list)
    tickets: list[int] = field(default_factory=list)
    stopped: list[tuple[int, float]] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: count(1))

    async def send(self, other: OtherSystem) -> None:
        serial = f"SN-{next(self._numbers):05}"
        await other.send({"serial": serial})
        self.serials.append(serial)

    async def open_ticket(self, halo: Halo) -> None:
        """As somebody at the service desk does."""
        made = await halo.call("POST", "records/Tickets", {"summary": f"ticket {len(self.tickets)}", "tickettype_id": 1, "client_id": 12})
        self.tickets.append(made["id"])

    async def both(self, other: OtherSystem, halo: Halo, messages: int, tickets: int) -> None:
        for _ in range(messages):
            await self.send(other)
        for _ in range(tickets):
            await self.open_ticket(halo)


async def load(books: Books, other: OtherSystem, halo: Halo, enough: asyncio.Event) -> None:
    """The same number of messages and tickets each second, until it is enough."""
    while not enough.is_set():
        second = asyncio.create_task(asyncio.sleep(1))
        await books.both(other, halo, MESSAGES, TICKETS)
        await second


async def replace(system: System, old: Container, books: Books) -> Container:
    """As a rolling update does: the new one first, and the old one when that is ready."""
    new = system.worker()
    await new.ready()
    await new.healthy()
    books.stopped.append(await old.stop())
    return new


async def settled(books: Books, halo: Halo, other: OtherSystem) -> None:
    """Until all messages have become assets, and all tickets, with those from the beginning, events."""

    async def all_there() -> bool:
        return set(await halo.serials()) >= set(books.serials) and await other.depth("events") >= len(books.tickets)

    await until(all_there, SETTLED)


def tally(title: str, books: Books, serials: Counter[str], letters: list[Letter], dead: int) -> str:
    ids, keys = Counter(letter.body["id"] for letter in letters), {letter.key for letter in letters}
    lost, doubled = len(set(books.serials) - set(serials)), sum(serials.values()) - len(serials)
    missed, copies = len(set(books.tickets) - set(ids)), len(letters) - len(keys)
    return "\n".join(
        [
            f"  {title}",
            f"    {len(books.serials)} messages sent, {sum(serials.values())} assets created: {lost} lost, {doubled} doubled, {dead} dead",
            f"    {len(books.tickets)} tickets opened, {len(letters)} events: {missed} lost, {len(keys) - len(ids)} doubled, {copies} marked as copies by their key",
            *(f"    replica {number} ended with {code} in {seconds:.1f} s" for number, (code, seconds) in enumerate(books.stopped, 1)),
        ]
    )


@pytest.mark.timeout(600)
async def test_nothing_is_lost_or_doubled_while_the_broker_restarts_and_every_replica_is_replaced_under_load(
    system: System, broker_container: RabbitMQ, capsys: pytest.CaptureFixture[str]
):
    halo = await system.halo("--tickets", "0")
    await halo.call("POST", "faults", {"does": "delay", "method": "POST", "path": "/Asset", "seconds": 0.05, "times": None})
    system.write(definitions())
    broker = next(container for container in system.yard.containers if "broker" in container.name)
    replicas = [system.worker()]
    await replicas[0].ready()

    outage = Books()
    async with system.other() as other:
        await outage.both(other, halo, 200, 50)
    code, _ = await broker.stop()
    assert code == 0
    for _ in range(50):
        await outage.open_ticket(halo)
    await replicas[0].readiness(503)
    await broker.start()
    broker_container.api.wait()
    await replicas[0].ready()
    async with system.other() as other:
        await settled(outage, halo, other)
        first_letters, first_dead = await other.drain("events"), await other.depth(dead_queue("assets"))
    first_serials = await halo.serials()

    replicas += [system.worker(), system.worker()]
    for replica in replicas:
        await replica.healthy()
    books = Books(_numbers=count(10_001))
    enough = asyncio.Event()
    async with system.other() as other:
        traffic = asyncio.create_task(load(books, other, halo, enough))
        for old in tuple(replicas):
            replicas.append(await replace(system, old, books))
        enough.set()
        await traffic
        await settled(books, halo, other)
        letters, dead = await other.drain("events"), await other.depth(dead_queue("assets"))
    serials = await halo.serials() - first_serials

    with capsys.disabled():
        print("\n" + tally("the broker restarts while one replica works", outage, first_serials, first_letters, first_dead))  # noqa: T201  a tally is for reading
        print(tally("three replicas, replaced one by one under load", books, serials, letters, dead))  # noqa: T201  as above

    assert (set(first_serials), first_dead) == (set(outage.serials), 0)
    assert set(first_serials.values()) == {1}
    assert {letter.body["id"] for letter in first_letters} == set(outage.tickets)
    assert len({letter.key for letter in first_letters}) == len(outage.tickets), "what is published again after a crash carries the same key"

    assert books.stopped
    assert {code for code, _ in books.stopped} == {0}
    assert max(seconds for _, seconds in books.stopped) < GRACE
    assert (set(serials), dead) == (set(books.serials), 0)
    assert set(serials.values()) == {1}
    assert Counter(letter.body["id"] for letter in letters) == Counter(books.tickets)
    assert {letter.change for letter in letters} == {"created"}
