"""A paused runbook stops between two steps, and a paused webhook stores what Halo sends nobody again."""

from __future__ import annotations

from tests.flows.public.conftest import Stranger
from tests.tools.job import EVENTS, routes
from tests.tools.waiting import until
from worker.core.topology import held_queue, subscriber_dead_queue
from worker.flows.running.run_message import run_queue

SECRET = "planted-secret-of-the-test"
HOOK = {"client": "main", "auth": {"type": "signature", "header": "Token", "secret": SECRET}, "publish": {"exchange": "halo", "routing_key": "hooks"}}
RUNBOOK = {"start": {"queue": "go"}, "first": "end", "steps": {"end": {"end": "done"}}}


async def test_a_paused_runbook_keeps_its_runs_and_its_starts_and_ends_them_once_resumed(job, halos, operator):
    halo = await halos()
    running = await job.start(routes(halo) | {"runbooks": {"rb": RUNBOOK}})
    await operator.paused(running, "rb")
    await job.other.send({"a": 1}, "go")
    await operator.route_is("rb", state="paused", backlog=1)
    assert await job.other.depth(run_queue("rb")) == 0
    await operator.resume("rb")
    await running.until(lambda: running.messages("rb", "done") == 1)


async def test_deliveries_to_a_paused_webhook_are_stored_and_have_their_effects_once_resumed(job, halos, operator):
    halo = await halos()
    await job.other.declare(EVENTS, exchange="halo")
    running = await job.start(routes(halo) | {"webhooks": {"hook": HOOK}}, public_port=0)
    stranger = Stranger(running.service.public_port)
    await operator.paused(running, "hook")
    answers = [await stranger.signed("/webhooks/hook", {"object_id": number}, SECRET) for number in range(3)]
    assert [(answer.status, answer.json["held"]) for answer in answers] == [(202, 1)] * 3
    await operator.route_is("hook", state="paused", backlog=3)
    assert await job.other.depth(EVENTS) == 0
    await operator.resume("hook")
    events = await job.other.take_all(EVENTS, 3)
    assert [event.body["object_id"] for event in events] == [0, 1, 2]
    await operator.route_is("hook", state="running", backlog=0)
    again = await stranger.signed("/webhooks/hook", {"object_id": 1}, SECRET)
    assert again.json["known"] == 1, "what was held is known when it comes again"


async def test_what_is_no_delivery_in_the_queue_of_held_ones_stops_nothing(memory_job, halos, operator):
    halo = await halos()
    await memory_job.other.declare(EVENTS, exchange="halo")
    await memory_job.start(routes(halo) | {"webhooks": {"hook": HOOK}}, public_port=0)
    await memory_job.other.send(b"no json", held_queue("hook"))
    for foreign in ([], "text", 7, None, {"object_id": "x" * 200_000}):
        await memory_job.other.send(foreign, held_queue("hook"))
    await memory_job.other.send({"object_id": 7}, held_queue("hook"))
    assert (await memory_job.other.take(EVENTS)).body == {"object_id": 7}

    async def empty() -> bool:
        return await memory_job.other.depth(held_queue("hook")) == 0

    await until(empty)
    letter = await memory_job.other.take(subscriber_dead_queue("hook"))
    assert letter.body == {"object_id": "x" * 200_000}
    assert "cannot be published" in letter.headers["dead-reason"]
