"""One row of the fault matrix: what is accepted is written down, and at the end the shared checker judges all of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from tests.tools.evidence import effects_of, is_work, queues, remains
from tests.tools.invariants import Ended, Evidence, Heard, Sent, judge
from tests.tools.job import Listener, OtherSystem, listening, publisher, routes, subscriber
from tests.tools.process import WorkerProcess
from tests.tools.rabbitmq import RabbitMQ
from tests.tools.waiting import SOON, until
from worker.core.ports import Broker
from worker.sandbox.simulated_halo import SimulatedHalo

PERSON = "Mark-Person Data"
GRACE = 5.0
FIND = {"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}


def creating(halo: SimulatedHalo, *, watching: bool = False, client: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A route that creates and can look, and one that watches tickets where that is asked for."""
    watched = {"tickets": subscriber(every="200ms", queue=None)} if watching else {}
    return routes(halo, subscribers=watched, publishers={"erp": publisher(**({"find": FIND, "concurrency": 2} | more))}, **(client or {}))


CALM = 0.5  # seconds: a message in a worker's hand is in no queue, and may come back to one


@dataclass
class Case:
    """What happened so far. Every worker of a row is started with `quick`, and ended by `judged`."""

    rabbitmq: RabbitMQ
    url: str
    halo: SimulatedHalo
    other: OtherSystem
    quick: dict[str, Any]
    _stack: AsyncExitStack
    sent: list[Sent] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    listener: Listener | None = None
    _numbers: Any = field(default_factory=lambda: count(1))

    async def create(self, many: int = 1, queue: str = "assets", **about: Any) -> list[str]:
        """Messages that ask for new records; their keys."""
        keys = [f"key-{queue}-{next(self._numbers)}" for _ in range(many)]
        for key in keys:
            await self.other.send({"payload": {"inventory_number": key, "notes": PERSON}}, queue, headers={"customer": PERSON})
            self.sent.append(Sent(key, **about))
        return keys

    async def listen(self) -> Listener:
        """From now on every event is heard, and every change in Halo must be."""
        self.listener = await self._stack.enter_async_context(listening(self.other.broker))
        return self.listener

    def created(self) -> list[str]:
        return [effect.key for effect in effects_of(self.halo.journal.operations) if effect.creates]

    async def done(self, within: float = SOON) -> None:
        """Until Halo has every record that was asked for and no queue holds a message, and the listener has heard every change."""

        missing: list[str] = []
        loop = asyncio.get_running_loop()
        since = loop.time()

        async def at_rest() -> bool:
            nonlocal since
            made = {sent.key for sent in self.sent} - {effect.key for effect in effects_of(self.halo.journal.operations)}
            untold = set(self.latest().items()) - {(heard.record, heard.content) for heard in self.heard()}
            full = [queue for queue in await queues(self.rabbitmq, self.url) if is_work(queue) and await self.other.depth(queue)]
            missing[:] = [f"not made: {sorted(made)}", f"not told: {sorted(untold)}", f"not empty: {full}"]
            if made or untold or full:
                since = loop.time()
            return loop.time() - since > CALM

        try:
            await until(at_rest, within)
        except TimeoutError:
            pytest.fail(f"not at rest after {within} s; {'; '.join(missing)}")

    def latest(self) -> dict[Any, Any]:
        return {row["id"]: row["summary"] for row in self.halo.store.rows("tickets")} if self.listener is not None else {}

    def heard(self) -> list[Heard]:
        letters = self.listener.letters if self.listener is not None else []
        return [Heard(letter.body["id"], letter.body["summary"], letter.key) for letter in letters]

    async def stopped(self, worker: WorkerProcess) -> None:
        """SIGTERM and its end are evidence too; a worker that is gone already ended unasked."""
        asked, began = ("SIGTERM" if worker.running else ""), time.monotonic()
        code = await worker.stop() if worker.running else worker.process.returncode
        self.ended.append(Ended(worker.output.stem, code or 0, asked, time.monotonic() - began, SOON))

    async def judged(self, *workers: WorkerProcess, **signs: bool) -> None:
        """Every invariant holds. `signs`: what the row was to show in metrics or readiness."""
        for worker in workers:
            await self.stopped(worker)
        evidence = Evidence(
            sent=self.sent, effects=list(effects_of(self.halo.journal.operations)), left=await remains(self.rabbitmq, self.url, self.other),
            latest=self.latest(), heard=self.heard(), texts={worker.output.name: worker.text() for worker in workers},
            marks=(PERSON, "key-", self.halo.settings.client_secret), ended=self.ended, signs=signs,
        )  # fmt: skip
        verdict = judge(evidence)
        assert verdict.good, f"{verdict.tally}\n" + "\n".join(verdict.broken)


@pytest.fixture
async def case(halos: Callable[..., Any], rabbitmq: RabbitMQ, amqp_url: str, broker: Broker) -> AsyncIterator[Case]:
    async with AsyncExitStack() as stack:
        halo = await halos(client_secret="mark-client-secret/7f3a+x")
        yield Case(rabbitmq, amqp_url, halo, OtherSystem(broker), {"shutdown_grace": GRACE, "heartbeat": 1}, stack)
