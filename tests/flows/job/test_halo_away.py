"""While Halo is away nothing is lost, nothing is buried and nobody hammers at its door; when it is back everything goes on."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tests.tools.job import EVENTS, publisher, routes, subscriber
from tests.tools.ports import free_port
from worker.sandbox.faults import Fault, FaultKind
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings

FIND = {"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}


def down():
    return Fault(FaultKind.ANSWER, "*", "/api/*", times=None, status=503)


def polls_of(halo):
    return len(halo.journal.received("GET", "/Tickets"))


async def test_while_halo_answers_503_messages_stay_in_their_queue_polls_pause_and_no_attempt_is_counted(job, halos):
    halo = await halos(tickets=3)
    definition = routes(
        halo,
        subscribers={"tickets": subscriber(every="50ms")},
        publishers={"erp": publisher(find=FIND, retry=[], concurrency=2), "idle": publisher(queue="idle")},
    )
    running = await job.start(definition)
    await job.other.take_all(EVENTS, 3)
    outage = halo.fault(down())
    await running.until(lambda: not running.service.health.ready)
    parts = running.service.health.parts
    assert not parts["client main"].ok
    assert "503" in parts["client main"].detail
    for number in range(6):
        await job.other.send({"payload": {"inventory_number": f"SN-{number}"}})
    posts, polls = len(halo.journal.received("POST", "/Asset")), polls_of(halo)
    probes = len(halo.journal.received("GET", "/Status"))
    await running.until(lambda: len(halo.journal.received("GET", "/Status")) >= probes + 2)
    await job.other.settles("assets", 6)
    assert len(halo.journal.received("POST", "/Asset")) - posts == 0
    assert polls_of(halo) - polls <= 1
    assert running.value("consuming", route="erp") == 0
    halo.store.update("tickets", 2, {"summary": "changed in the dark"})

    halo.faults.remove(outage.number)
    await running.settled("erp", "done", 6)
    await running.ready()
    assert len(halo.journal.created("/Asset")) == 6
    assert (await job.other.take(EVENTS)).body["summary"] == "changed in the dark"
    assert await job.other.depth("assets.dead") == 0


async def test_what_is_in_flight_when_halo_goes_down_is_looked_up_and_done_when_it_is_back(memory_job, halos):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(find=FIND, retry=[], concurrency=3)}))
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", times=3, executed=True))
    lost = halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=3, status=503, executed=True))
    for number in range(5):
        await memory_job.other.send({"payload": {"inventory_number": f"SN-{number}"}})
    await running.until(lambda: held.struck == lost.struck == 3)
    outage = halo.fault(down())
    halo.faults.remove(held.number)
    await running.until(lambda: not running.service.health.ready)
    assert running.messages("erp", "done") == 0
    halo.faults.remove(outage.number)
    await running.settled("erp", "done", 5)
    assert halo.journal.received("GET", "/Asset"), "what was in flight is looked up"
    created = [halo.store.get("asset", key)["inventory_number"] for key in halo.journal.created("/Asset")]
    assert sorted(created) == [f"SN-{number}" for number in range(5)]
    assert await memory_job.other.depth("assets.dead") == 0


async def test_creates_without_find_wait_unharmed_for_a_halo_that_does_not_even_listen(job):
    port = free_port()
    settings = SandboxSettings(rate_limit=None, tickets=5)
    async with AsyncExitStack() as first:
        halo = await first.enter_async_context(serve(settings, port=port))
        running = await job.start(routes(halo, subscribers={"tickets": subscriber(every="50ms")}, publishers={"erp": publisher(retry=[])}))
        await job.other.take_all(EVENTS, 5)
    await running.until(lambda: not running.service.health.ready)
    assert "cannot be reached" in running.service.health.parts["client main"].detail
    for number in range(5):
        await job.other.send({"payload": {"inventory_number": f"SN-{number}"}})
    await job.other.settles("assets", 5)
    async with serve(settings, port=port) as back:
        await running.settled("erp", "done", 5)
        assert len(back.journal.created("/Asset")) == 5
        await running.ready()
        assert await job.other.depth("assets.dead") == 0
        await running.stop()


async def test_the_messages_that_find_halo_gone_go_back_without_an_attempt_counted(job):
    port = free_port()
    settings = SandboxSettings(rate_limit=None, tickets=5)
    async with serve(settings, port=port) as halo:
        running = await job.start(routes(halo, publishers={"erp": publisher(retry=[], concurrency=3)}))
    for number in range(60):
        await job.other.send({"payload": {"inventory_number": f"SN-{number}"}})
    await running.until(lambda: running.messages("erp", "retried") >= 1)
    await job.other.settles("assets", 60)
    assert not running.service.health.ready
    async with serve(settings, port=port) as back:
        await running.settled("erp", "done", 60)
        assert len(back.journal.created("/Asset")) == 60
        assert await job.other.depth("assets.dead") == 0
        await running.stop()


async def test_a_worker_that_starts_before_its_halo_waits_and_says_what_for(memory_job):
    port = free_port()
    settings = SandboxSettings(rate_limit=None, tickets=5)
    absent = SandboxAddress(f"http://127.0.0.1:{port}", settings)
    running = await memory_job.start(routes(absent, subscribers={"tickets": subscriber()}, publishers={"erp": publisher()}), ready=False)
    await running.until(lambda: "cannot be reached" in running.service.health.parts.get("client main", NOTHING).detail)
    await memory_job.other.declare("assets.dead")
    async with serve(settings, port=port):
        await running.ready()
        assert len(await memory_job.other.take_all(EVENTS, 5)) == 5
        await running.stop()


class SandboxAddress:
    """Where a Halo will be."""

    def __init__(self, url, settings):
        self.url = url
        self.settings = settings


class NOTHING:
    detail = ""


async def test_a_429_pauses_everybody_counts_no_attempt_and_loses_nothing(memory_job, halos):
    halo = await halos(retry_after=1)
    limited = halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=429, headers=(("Retry-After", "1"),)))
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(retry=[], concurrency=2)}, rate_limit="1000/1s"))
    for number in range(4):
        await memory_job.other.send({"payload": {"inventory_number": f"SN-{number}"}})
    await running.settled("erp", "done", 4)
    refused = next(entry for entry in halo.journal.received("POST", "/Asset") if entry.status == 429)
    later = [entry for entry in halo.journal.received("POST", "/Asset") if entry.number > refused.number + 2]
    assert all((entry.time - refused.time).total_seconds() >= 0.9 for entry in later)
    assert limited.struck == 1
    assert len(halo.journal.created("/Asset")) == 4
    assert await memory_job.other.depth("assets.dead") == 0


async def test_a_single_endpoint_that_fails_stops_nobody_else(memory_job, halos):
    halo = await halos(tickets=3)
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=None, status=503))
    publishers = {"erp": publisher(find=FIND), "tickets": publisher(queue="new", entity="Tickets")}
    running = await memory_job.start(routes(halo, publishers=publishers))
    await memory_job.other.send({"payload": {"inventory_number": "SN-1"}})
    for number in range(5):
        await memory_job.other.send({"payload": {"summary": f"ticket {number}"}}, "new")
    await running.settled("tickets", "done", 5)
    letter = await memory_job.other.take("assets.dead")
    assert letter.headers["dead-class"] == "retries_exhausted"
    assert letter.headers["dead-attempts"] == 3
    assert running.service.health.ready
