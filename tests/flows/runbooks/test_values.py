"""What goes in comes out: random documents through publishers, a subscriber and a runbook, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings

from tests.flows.job.conftest import Job, Running, on_stage
from tests.flows.runbooks.conftest import GO, Api, runbook, serving_api
from tests.tools.job import Listener, client, listening, publisher, subscriber
from tests.tools.json_documents import DOCUMENTS, is_too_large, same, value_of, without_nulls
from worker.broker.memory import MemoryServer
from worker.core.exact_numbers import dumps
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import SimulatedHalo

AT_ONCE = 500  # documents under way
TOGETHER = 25  # documents of one message
FIRST = 1000  # the id of the first field
PUBLISHERS = ("plain", "engine")
WITHIN = 60.0


@dataclass
class Echo(Api):
    """An API that keeps bodies as they came, and answers with what it got."""

    bodies: list[bytes] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(body := await request.read())
        return web.Response(body=body, content_type="application/json")


@dataclass
class Stage:
    """A worker with two publishers, a subscriber and a runbook. The documents of the second publisher pass the engine of expressions."""

    job: Job
    running: Running
    halo: SimulatedHalo
    api: Echo
    events: Listener
    serials: count[int] = field(default_factory=lambda: count(1))
    refused: int = 0

    async def carry(self, texts: list[str]) -> None:
        """The documents on each way, many in one message; what arrives is compared with what was sent."""
        fit = [text for text in texts if not is_too_large(value_of(text))]
        refused = [text for text in texts if is_too_large(value_of(text))]
        groups = {f"N{next(self.serials)}": fit[start : start + TOGETHER] for start in range(0, len(fit), TOGETHER)}
        self.api.bodies.clear()
        self.halo.journal.operations.clear()
        self.events.letters.clear()
        for serial, group in [*groups.items(), *((f"R{next(self.serials)}", [text]) for text in refused)]:
            await self.send(serial, group)
        await self.check_letters(len(refused))
        await self.running.until(lambda: len(self.api.bodies) >= len(groups) * 2, WITHIN)
        await self.running.until(lambda: len(self.halo.journal.executed("POST", "/Asset")) >= len(groups) * 2, WITHIN)
        await self.running.until(lambda: len(self.events.letters) >= len(groups) * 2, WITHIN)
        answers = [value_of(body) for body in self.api.bodies]
        records = {record["inventory_number"]: record for done in self.halo.journal.executed("POST", "/Asset") for record in done.body}
        events = {event["inventory_number"]: event for event in (value_of(letter.message.body) for letter in self.events.letters)}
        for serial, group in groups.items():
            wanted = [value_of(text) for text in group]
            told = [answer["docs"] for answer in answers if answer["serial"] == serial]
            assert len(told) == 2, "the runbook called twice"
            for name in PUBLISHERS:
                told += [[exactly(row["value"]) for row in records[f"{name}-{serial}"]["fields"]]]
                shown = [row.get("value") for row in events[f"{name}-{serial}"]["fields"]]
                assert [text for text, document, its in zip(group, wanted, shown, strict=True) if not same(its, without_nulls(document))] == []
            for its in told:
                assert [(text, arrived) for text, document, arrived in zip(group, wanted, its, strict=True) if not same(arrived, document)] == []

    async def send(self, serial: str, texts: list[str]) -> None:
        rows = [f'{{"id":{FIRST + index},"value":{text}}}' for index, text in enumerate(texts)]
        for name in PUBLISHERS:
            fields = rows[0] if len(rows) == 1 else f"[{','.join(rows)}]"  # one row is wrapped
            record = f'{{"inventory_number":"{name}-{serial}","assettype_id":1,"client_id":12,"fields":{fields}}}'
            await self.job.other.send(f'{{"payload":{record}}}'.encode("utf-8", "surrogatepass"), name)
        await self.job.other.send(f'{{"serial":"{serial}","docs":[{",".join(texts)}]}}'.encode("utf-8", "surrogatepass"), GO)

    async def check_letters(self, wanted: int) -> None:
        """What did not arrive is a dead letter that says why."""
        self.refused += wanted
        for name, queue in (("plain", "plain"), ("engine", "engine"), ("rb", GO)):
            await self.running.until(lambda name=name: self.dead(name) >= self.refused, WITHIN)
            letters = await self.job.other.drain(f"{queue}.dead")
            assert len(letters) == wanted, [letter.headers["dead-reason"] for letter in letters]
            assert all("a number beyond 1e308" in letter.headers["dead-reason"] for letter in letters)

    def dead(self, route: str) -> int:
        return self.running.messages(route, "dead_decode")


def exactly(value: Any) -> Any:
    """A value of the worker as `value_of` would have read it."""
    return value_of(dumps(value))


@asynccontextmanager
async def stage(folder: Path, url: str = "memory://") -> AsyncIterator[Stage]:
    server = MemoryServer() if url == "memory://" else None
    async with (
        serve(SandboxSettings(rate_limit=None, tickets=1)) as halo,
        serving_api(Echo()) as api,
        on_stage(folder, url, server) as job,
        listening(job.other.broker) as events,
    ):
        steps = {"there": {"method": "api.post", "next": "back"}, "back": {"method": "api.back"}}
        methods = {
            "post": {"method": "POST", "path": "/there", "body": {"serial": "<<Serial>>", "docs": "<<Docs>>"}, "output": {"Back": "response^docs"}},
            "back": {"method": "POST", "path": "/back", "body": {"serial": "<<Serial>>", "docs": "<<Back>>"}},
        }
        routes = {
            "clients": {"main": client(halo)},
            "publishers": {
                "plain": publisher(queue="plain", in_doubt="repeat"),
                "engine": publisher(queue="engine", in_doubt="repeat", transform="($)"),
            },
            "subscribers": {"assets": subscriber(entity="Asset", start="now", details=True, every="100ms", echo=True)},
            "integrations": {"api": {"base_url": api.url, "allow_hosts": ["127.0.0.1"], "methods": methods}},
            "runbooks": {"rb": runbook(steps, input={"Serial": "request^serial!", "Docs": "request^docs"})},
        }
        running = await job.start(routes)
        await running.polled("assets")
        yield Stage(job, running, halo, api, events)


def documents(number: int) -> list[str]:
    """So many random documents. They are made first and sent in batches, so that a batch is under way at once."""
    made: list[str] = []

    @settings(max_examples=number, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(DOCUMENTS)
    def collect(text: str) -> None:
        made.append(text)

    collect()
    return made


async def carried(folder: Path, number: int) -> None:
    made = documents(number)
    async with stage(folder) as at_work:
        for start in range(0, len(made), AT_ONCE):
            await at_work.carry(made[start : start + AT_ONCE])


async def test_documents_arrive_as_they_were_sent_or_are_refused_with_the_reason(tmp_path: Path):
    await carried(tmp_path, 300)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("quarter", range(4))
async def test_5_000_documents_arrive_as_they_were_sent_or_are_refused_with_the_reason(tmp_path: Path, quarter: int):
    await carried(tmp_path, 1_250)
