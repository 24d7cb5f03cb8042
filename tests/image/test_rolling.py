"""Three replicas under load: the broker goes away and comes back, every worker is replaced by a new one, and the books balance."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
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


@dataclass
class Outcome:
    """What is there on the other side: assets by serial, events, and messages that were given up."""

    serials: Counter[str]
    letters: list[Letter]
    dead: int


@asynccontextmanager
async def loaded(books: Books, other: OtherSystem, halo: Halo) -> AsyncIterator[None]:
    """The same number of messages and tickets each second, all the while."""
    enough = asyncio.Event()

    async def load() -> None:
        while not enough.is_set():
            second = asyncio.create_task(asyncio.sleep(1))
            await books.both(other, halo, MESSAGES, TICKETS)
            await second

    async with asyncio.TaskGroup() as group:
        group.create_task(load())
        yield
        enough.set()


async def replace(system: System, old: Container, books: Books) -> Container:
    """As a rolling update does: the new one first, and the old one when that is ready."""
    new = system.worker()
    await new.ready()
    await new.healthy()
    books.stopped.append(await old.stop())
    return new


async def half_way(books: Books, halo: Halo) -> bool:
    """Some assets are there and some are not."""
    return len(books.serials) >= 2 * MESSAGES and not set(books.serials) <= set(await halo.serials())


async def balance(books: Books, halo: Halo, other: OtherSystem) -> Outcome:
    """What came of it, once all messages have become assets and all tickets events."""

    async def all_there() -> bool:
        return set(await halo.serials()) >= set(books.serials) and await other.depth("events") >= len(books.tickets)

    with suppress(TimeoutError):  # what is missing is told by the tally
        await until(all_there, SETTLED)
    letters = await other.drain("events")
    seen = await halo.serials()
    await halo.call("DELETE", "journal")
    return Outcome(seen, letters, await other.depth(dead_queue("assets")))


def tally(title: str, books: Books, outcome: Outcome) -> str:
    ids, keys = {letter.body["id"] for letter in outcome.letters}, {letter.key for letter in outcome.letters}
    lost, doubled = len(set(books.serials) - set(outcome.serials)), outcome.serials.total() - len(outcome.serials)
    missed, copies = len(set(books.tickets) - ids), len(outcome.letters) - len(keys)
    return "\n".join(
        [
            f"  {title}",
            f"    {len(books.serials)} messages sent, {outcome.serials.total()} assets created: {lost} lost, {doubled} doubled, {outcome.dead} dead",
            f"    {len(books.tickets)} tickets opened, {len(outcome.letters)} events: {missed} lost, {len(keys) - len(ids)} doubled, {copies} marked as copies by their key",
            *(f"    replica {number} ended with {code} in {seconds:.1f} s" for number, (code, seconds) in enumerate(books.stopped, 1)),
        ]
    )


@pytest.mark.timeout(600)
async def test_nothing_is_lost_or_doubled_while_the_broker_restarts_and_every_replica_is_replaced_under_load(
    system: System, broker_container: RabbitMQ, capsys: pytest.CaptureFixture[str]
):
    halo = await system.halo("--tickets", "0")
    await halo.call("POST", "faults", {"does": "delay", "method": "POST", "path": "/Asset", "seconds": 0.2, "times": None})
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
        first = await balance(outage, halo, other)

        replicas += [system.worker(), system.worker()]
        for replica in replicas:
            await replica.healthy()
        update = Books(_numbers=count(10_001))
        async with loaded(update, other, halo):
            for old in tuple(replicas):
                replicas.append(await replace(system, old, update))
        second = await balance(update, halo, other)

        crash = Books(_numbers=count(20_001))
        async with loaded(crash, other, halo):
            await until(lambda: half_way(crash, halo))
            await replicas[-1].kill()
            await asyncio.sleep(3)  # so long do the other two carry all the load
        third = await balance(crash, halo, other)

    with capsys.disabled():
        print("\n" + tally("the broker restarts while one replica works", outage, first))  # noqa: T201  a tally is for reading
        print(tally("three replicas, replaced one by one under load", update, second))  # noqa: T201  as above
        print(tally("one of three replicas is killed under load", crash, third))  # noqa: T201  as above

    for books, outcome in ((outage, first), (update, second), (crash, third)):
        assert (outcome.serials, outcome.dead) == (Counter(books.serials), 0), "each message one asset"
        assert {letter.body["id"] for letter in outcome.letters} == set(books.tickets)
        assert len({letter.key for letter in outcome.letters}) == len(books.tickets), "what is published again after a crash carries the same key"
        assert {letter.change for letter in outcome.letters} == {"created"}
    assert len(second.letters) == len(update.tickets), "nobody crashed: no copies"
    assert [code for code, _ in update.stopped] == [0, 0, 0]
    assert max(seconds for _, seconds in update.stopped) < GRACE
