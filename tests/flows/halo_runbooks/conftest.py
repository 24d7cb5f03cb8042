"""One document in two places: the simulated Halo runs it as it is, the worker runs what the import made of it, against one API that records every request."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from tests.flows.job.conftest import Job, Running, halos, memory_job  # noqa: F401 - fixtures
from tests.tools.halo_documents import Case, Row, copy_of
from tests.tools.job import client
from tests.tools.waiting import SOON, until
from tests.unit.translation.conftest import documents_of, filled, refusals
from worker.core.json_codec import encode
from worker.sandbox.server import listen
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.translation.importing import translate
from worker.translation.secrets import with_references

TOKEN = "tok/en-value-1234"
HEADERS = ("Authorization", "Content-Type", "X-Note")
KEPT = ("tickettype_id", "client_id")
"""Members that the worker reads from the ticket and sends back with an update."""


@dataclass
class RecordingApi:
    """`requests`: method, path with query, the headers that documents set, and the body, in order."""

    case: Case
    url: str = ""
    requests: list[tuple[Any, ...]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(
            (request.method, request.raw_path, {name: request.headers[name] for name in HEADERS if name in request.headers}, await request.read())
        )
        self.counts[request.path] += 1
        status, body = self.case.answers(request.path, self.counts[request.path]) if self.case.answers else (200, {"state": "ok"})
        return web.Response(status=status, body=encode(body), content_type="application/json")

    def taken(self) -> list[tuple[Any, ...]]:
        """The requests so far; the next ones count from the beginning."""
        requests, self.requests = self.requests, []
        self.counts.clear()
        return requests


@pytest.fixture
async def api_of() -> AsyncIterator[Any]:
    stacks = []

    async def make(case: Case) -> RecordingApi:
        api, app = RecordingApi(case), web.Application()
        app.router.add_route("*", "/{path:.*}", api.answer)
        serving = listen(app, "127.0.0.1", 0)
        api.url = await serving.__aenter__()
        stacks.append(serving)
        return api

    yield make
    for serving in stacks:
        await serving.__aexit__(None, None, None)


def at(case: Case, api: RecordingApi) -> Case:
    """The documents with the address of this API."""
    integrations = [integration | {"resourcebaseurl": f"{api.url}/v1"} for integration in copy_of(case.integrations)]
    return Case(case.runbooks, integrations, case.payloads, answers=case.answers, known=case.known)


def settle_in(case: Case, halo: SimulatedHalo) -> dict[str, str]:
    """Puts the documents into Halo, which gives its own numbers. Returns the GUIDs there by those of the documents."""
    methods: dict[int, int] = {}
    for integration in copy_of(case.integrations):
        made = halo.store.create(
            "customintegration", {name: value for name, value in integration.items() if name not in {"id", "methods"}} | {"new_client_secret": TOKEN}
        )
        for method in integration["methods"]:
            row = halo.store.create("customintegrationmethod", {name: value for name, value in method.items() if name != "id"} | {"integration_id": made["id"]})
            methods[method["id"]] = row["id"]
    guids = {book["id"]: halo.store.create("webhook", {"name": book["name"], "type": 1})["id"] for book in case.runbooks}
    for book in copy_of(case.runbooks):
        halo.store.update(
            "webhook",
            guids[book["id"]],
            {name: value for name, value in book.items() if name != "id"} | {"steps": [renumbered(step, methods, guids) for step in book["steps"]]},
        )
    return guids


def renumbered(step: Row, methods: dict[int, int], guids: dict[str, str]) -> Row:
    if step.get("auto_action") == 6 and step.get("steptype") == 2:
        return step | {"auto_action_type": methods[step["auto_action_type"]]}
    return step | ({"start_new_runbook_id": guids[step["start_new_runbook_id"]]} if "start_new_runbook_id" in step else {})


@dataclass
class Observed:
    """What runs did: requests to the other API, writes to Halo, and how many runs ended well and badly."""

    requests: list[tuple[Any, ...]]
    writes: list[tuple[str, str, Any]]
    good: int
    bad: int


def writes_of(halo: SimulatedHalo) -> list[tuple[str, str, Any]]:
    """The POSTs of runs, without what the worker adds to an update of a ticket."""
    found = []
    for entry in halo.journal.executed("POST"):
        [record] = entry.body
        update = entry.path.lower() == "/tickets" and "id" in record
        found.append((entry.method, entry.path.lower(), {name: value for name, value in record.items() if not (update and name in KEPT)}))
    return found


async def run_in_halo(case: Case, halo: SimulatedHalo, api: RecordingApi) -> Observed:
    """Each payload starts the first runbook by hand, one after the other."""
    guids = settle_in(case, halo)
    first = guids[case.runbooks[0]["id"]]
    from worker.sandbox.runbooks.runs import start

    for payload in case.payloads:
        start(halo, halo.store.get("webhook", first), payload)
        await asyncio.wait_for(halo.runs.join(), SOON)
    rows = list(halo.store.rows("automation"))
    return Observed(api.taken(), writes_of(halo), sum(row["status"] == 2 for row in rows), sum(row["status"] == 1 for row in rows))


async def run_here(case: Case, halo: SimulatedHalo, api: RecordingApi, job: Job, runs: int) -> Observed:
    """Each payload starts the first runbook by its queue; `runs` is how many runs are to end."""
    translation = translate(documents_of(case), "main")
    assert refusals(translation) == []
    known = dict.fromkeys(translation.settings, TOKEN) | {name: "k" * 43 for name in translation.settings if name.endswith("SIGNATURE_KEY")} | dict(case.known)
    host = api.url.removeprefix("http://")
    integrations = {name: filled(with_references(result.definition), known) | {"allow_hosts": [host]} for name, result in translation.integrations.items()}
    runbooks = {name: filled(with_references(result.definition), known) for name, result in translation.runbooks.items()}
    running = await job.start({"clients": {"main": client(halo)}, "integrations": integrations, "runbooks": runbooks})
    first = next(iter(runbooks))
    for index, payload in enumerate(case.payloads, start=1):
        await job.other.send(payload, f"runbooks.{first}")
        share = runs * index // len(case.payloads)

        async def ended(share: int = share) -> bool:
            return sum(ends(running, name)[0] + ends(running, name)[1] for name in runbooks) >= share

        await until(ended, 20)
    good, bad = (sum(ends(running, name)[which] for name in runbooks) for which in (0, 1))
    return Observed(api.taken(), writes_of(halo), good, bad)


def ends(running: Running, name: str) -> tuple[int, int]:
    """Runs that ended well, and those that failed."""
    dead = sum(
        int(sample.value)
        for metric in running.service.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "halo_worker_messages_total" and sample.labels["route"] == name and sample.labels["result"].startswith("dead")
    )
    return running.messages(name, "done"), dead
