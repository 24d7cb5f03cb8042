"""From a change in the simulated Halo to the broker: registered, signed, delivered over a socket, and taken in, on both brokers."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.flows.job.conftest import Halos, Job
from tests.flows.public.conftest import Stranger, token
from tests.tools.evaluating import InProcess
from tests.tools.job import EVENTS, routes, subscriber
from tests.tools.process import write_routes
from tests.tools.waiting import soon, until
from worker.broker.open import open_broker
from worker.cli import register as command
from worker.config.loader import load_routes
from worker.core.clock import SystemClock
from worker.core.header_codec import HeaderCodec
from worker.core.health import Health
from worker.core.topology import common_topology, work_topology
from worker.flows.hooks import poll_trigger as waking_module
from worker.flows.hooks.delivery_intake import DeliveryIntake
from worker.flows.hooks.effects import webhook_topology
from worker.flows.hooks.poll_trigger import PollTrigger
from worker.flows.running.run_message import Run, run_queue
from worker.metrics import Metrics
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.settings import Settings
from worker.state.current_broker import CurrentBroker
from worker.web.public import endpoints_of, serve_public

CLOCK = SystemClock()
SECRET = "planted-secret-of-the-test"
SIGNED = {"type": "signature", "header": "Token", "secret": SECRET}
BASIC = {"type": "basic", "username": "halo", "password": SECRET}
PUSH = {"publish": {"exchange": "halo", "routing_key": "hooks.{{ $replace(event, ' ', '-') }}"}}
RUNBOOK = {"start": {"queue": "asked"}, "first": "end", "steps": {"end": {"end": "done"}}}


class Front:
    """One replica's public port with what is behind it; `attach` and `detach` are the broker coming and going."""

    def __init__(self, job: Job, halo: SimulatedHalo, folder: Path, definitions: dict[str, Any]) -> None:
        self.job = job
        folder.mkdir()
        directory = write_routes(folder, routes(halo) | definitions)
        self.routes = load_routes(directory, {}, folder)
        self.current = CurrentBroker(HeaderCodec(b"k" * 32), Metrics())
        self.port = 0
        self._attachment = AsyncExitStack()

    async def attach(self) -> None:
        broker = await self._attachment.enter_async_context(open_broker(self.job.url, name="front", server=self.job.server))
        needed = sum((webhook_topology(hook) for hook in self.routes.webhooks.values()), start=common_topology())
        await broker.declare(needed + work_topology(run_queue("ask"), ()))
        await self._attachment.enter_async_context(self.current.attached(broker, CLOCK, claiming=True))

    async def detach(self) -> None:
        await self._attachment.aclose()

    async def register(self) -> None:
        hook = self.routes.webhooks["hook"]
        await command.register_webhook(self.routes, Settings(), hook, command.address_of(f"http://127.0.0.1:{self.port}", hook), dry_run=False, yes=True)

    async def deliver(self, document: Any) -> Any:
        return await Stranger(self.port).signed("/webhooks/hook", document, SECRET)


@pytest.fixture
async def front(job: Job, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    async with AsyncExitStack() as stack:

        async def made(halo: SimulatedHalo, **hook: Any) -> Front:
            definition = {"client": "main", "events": ["new_ticket", "status_changed"], "auth": SIGNED} | hook
            made = Front(
                job, halo, tmp_path / "front", {"webhooks": {"hook": definition}, "runbooks": {"ask": RUNBOOK}, "subscribers": {"tickets": subscriber()}}
            )
            reception = DeliveryIntake(made.routes.webhooks, made.current, InProcess(), CLOCK, Metrics())
            endpoints = endpoints_of(made.routes.runbooks, made.routes.webhooks)
            made.port = await stack.enter_async_context(serve_public("127.0.0.1", 0, endpoints, reception.receive, Metrics()))
            await made.attach()
            stack.push_async_callback(made.detach)
            return made

        yield made


async def answers(halo: SimulatedHalo, count: int) -> list[int]:
    """The statuses that Halo got for its deliveries."""

    async def all_there() -> bool:
        return halo.store.count("webhookevent") >= count

    await until(all_there)
    return [row["responsestatus"] for row in halo.store.rows("webhookevent")]


@pytest.mark.parametrize("auth", [SIGNED, BASIC], ids=["signature", "basic"])
async def test_what_happens_to_tickets_in_halo_arrives_as_events(job: Job, halos: Halos, front, auth):
    halo = await halos()
    await (await front(halo, auth=auth, **PUSH)).register()
    await job.other.declare("hooks", exchange="halo", routing_key="hooks.#")
    made = halo.store.create("Tickets", {"summary": "Printer on fire"})
    halo.store.update("Tickets", 7, {"status_id": 3})
    halo.store.update("Tickets", 8, {"summary": "no event that was asked for"})
    letters = await job.other.take_all("hooks", 2)
    assert [letter.routing_key for letter in letters] == ["hooks.new-ticket-logged", "hooks.ticket-status-changed"]
    assert [letter.headers["cloudEvents_subject"] for letter in letters] == [str(made["id"]), "7"]
    assert letters[0].body["ticket"]["summary"] == "Printer on fire"
    assert await answers(halo, 2) == [202, 202]


@pytest.mark.parametrize("settings", [{"webhook_copies": 3}, {"webhook_copies": 2, "webhook_arrays": True}], ids=["single", "array"])
async def test_a_delivery_that_comes_several_times_counts_once(job: Job, halos: Halos, front, settings):
    halo = await halos(**settings)
    await (await front(halo, runbook="ask")).register()
    for number in range(5):
        halo.store.create("Tickets", {"summary": f"number {number}"})
    assert set(await answers(halo, 5 * settings["webhook_copies"])) == {202}
    runs = [Run.read(letter.message.body).request["ticket"]["summary"] for letter in await job.other.drain(run_queue("ask"))]
    assert runs == [f"number {number}" for number in range(5)]


async def test_a_note_starts_a_run_with_the_note_in_its_payload(job: Job, halos: Halos, front):
    halo = await halos()
    await (await front(halo, events=["ticket_updated"], runbook="ask", when="action.outcome = 'Ask ChatGPT'")).register()
    halo.store.create("Actions", {"ticket_id": 7, "outcome": "Note", "note": "not asked"})
    halo.store.create("Actions", {"ticket_id": 7, "outcome": "Ask ChatGPT", "note": "Why?"})
    request = Run.read((await job.other.take(run_queue("ask"))).message.body).request
    assert (request["action"]["note"], request["ticket"]["id"]) == ("Why?", 7)
    assert await answers(halo, 2) == [202, 202]


async def test_a_delivery_wakes_a_subscriber_that_would_poll_in_an_hour(job: Job, halos: Halos, front, monkeypatch):
    monkeypatch.setattr(waking_module, "BATON_RETRY", 0.02)
    halo = await halos()
    worker = await job.start(routes(halo, subscribers={"tickets": subscriber(every="1h", start="now")}))
    await worker.until(lambda: worker.polls("tickets", "complete") == 1)
    await (await front(halo, wake={"subscriber": "tickets"})).register()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(PollTrigger("tickets", CLOCK, Metrics(), Health()).serve(job.other.broker, stop))
        halo.store.update("Tickets", 7, {"status_id": 3})
        letter = await job.other.take(EVENTS)
        stop.set()
    assert (letter.body["id"], letter.body["status_id"], letter.change) == (7, 3, "updated")


async def test_while_the_broker_is_away_halo_gets_503_and_what_it_sends_again_is_taken(job: Job, halos: Halos, front):
    halo = await halos()
    replica = await front(halo, runbook="ask")
    await replica.register()
    await replica.detach()
    halo.store.create("Tickets", {"summary": "lost to nobody"})
    assert await answers(halo, 1) == [503]
    body = next(iter(halo.store.rows("webhookevent")))["requestbody"].encode()
    assert (await soon(replica.deliver(body), 2)).status == 503
    await replica.attach()
    again = await replica.deliver(body)  # as somebody does by hand in Halo
    assert (again.status, again.json["accepted"]) == (202, 1)
    assert (await replica.deliver(body)).json["known"] == 1
    assert len(await job.other.drain(run_queue("ask"))) == 1


async def test_calls_while_the_broker_is_away_leave_nothing_behind_in_memory(job: Job, halos: Halos, front):
    halo = await halos()
    replica = await front(halo, runbook="ask")
    await replica.detach()
    bodies = [orjson.dumps({"id": number, "text": "x" * 900_000}) for number in range(3)]
    await replica.deliver(bodies[0])
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for body in bodies * 10:
            assert (await Stranger(replica.port).post("/webhooks/hook", body, Token=token(body, SECRET))).status == 503
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 1_000_000
    finally:
        tracemalloc.stop()


async def test_a_webhook_that_failed_too_often_is_switched_off_by_halo_and_switched_on_again_by_register(job: Job, halos: Halos, front, capsys):
    halo = await halos()
    replica = await front(halo, runbook="ask")
    await replica.register()
    [webhook] = [row for row in halo.store.rows("webhook") if row["name"] == "hook"]
    halo.store.update("webhook", webhook["id"], {"auto_disable_attempts": 2})
    await replica.detach()
    for _ in range(2):
        halo.store.create("Tickets", {"summary": "x"})
    await answers(halo, 2)
    await until(lambda: asyncio.sleep(0, not halo.store.get("webhook", webhook["id"])["active"]))
    await replica.attach()
    await replica.register()
    assert "activate the webhook 'hook' again, which Halo deactivated (its last call got status 503)" in capsys.readouterr().out
    halo.store.create("Tickets", {"summary": "heard again"})
    assert Run.read((await job.other.take(run_queue("ask"))).message.body).request["ticket"]["summary"] == "heard again"
