"""A runbook stops taking messages while a Halo that it uses is down; one that needs none goes on."""

from __future__ import annotations

import asyncio

from tests.flows.runbooks.conftest import GO, RUN, action, call, integration, play, runbook
from tests.tools.job import client
from tests.tools.waiting import soon
from worker.flows.running.run_message import Run
from worker.sandbox.faults import Fault, FaultKind

NOTE = {"ticket_id": 3, "outcome": "Note", "note_html": "<<Name>>"}


async def test_steps_wait_in_their_queue_while_halo_is_down_and_go_on_uncounted_when_it_is_back(job, api, halos):
    halo = await halos()
    scene = await play(job, api, {"note": action("create_action", NOTE, retry=[])}, halo)
    parts = scene.running.service.health.parts
    assert (parts["runbook rb"].detail, parts["runbook rb (starts)"].detail) == ("consuming", "consuming")
    halo.fault(Fault(FaultKind.ANSWER, "*", "/api/*", times=None, status=503))
    await scene.begin({"name": "first"})
    await scene.running.until(lambda: "not consuming" in scene.running.service.health.parts["runbook rb"].detail)
    assert not scene.running.service.health.ready
    for number in range(5):
        await scene.begin({"name": f"later {number}"})
    await job.other.settles(GO)  # starts are taken: they need no Halo
    await job.other.settles(RUN, 5)
    halo.faults.clear()
    await scene.done(5)
    assert sorted(entry.body[0]["note_html"] for entry in halo.journal.executed("POST", "/Actions"))[-5:] == [f"later {number}" for number in range(5)]


async def test_a_runbook_that_needs_no_halo_goes_on_while_another_waits(job, api, halos):
    halo = await halos()
    definition = {
        "clients": {"main": client(halo)},
        "integrations": {"api": integration(api)},
        "runbooks": {
            "rb": runbook({"note": action("create_action", NOTE, retry=[])}),
            "free": runbook({"ask": call()}, start={"queue": "go.free"}),
        },
    }
    running = await job.start(definition)
    halo.fault(Fault(FaultKind.ANSWER, "*", "/api/*", times=None, status=503))
    await job.other.send({"name": "x"}, GO)
    await running.until(lambda: "not consuming" in running.service.health.parts["runbook rb"].detail)
    await job.other.send({"name": "y"}, "go.free")
    await running.settled("free", "done")
    assert running.service.health.parts["runbook free"].detail == "consuming"


async def test_a_runbook_whose_methods_use_the_token_of_halo_waits_for_it_as_well(memory_job, api, halos):
    halo = await halos()
    auth = {"type": "halo", "client": "main"}
    own = {"base_url": f"{halo.url}/api", "auth": auth, "allow_hosts": ["127.0.0.1"], "methods": {"tickets": {"method": "GET", "path": "/Tickets"}}}
    steps = {
        "look": {"method": "own.tickets", "retry": ["50ms"], "output": {"First": "response^tickets[0]^id"}, "next": [{"when": "$exists(First)", "go": "good"}]}
    }
    definition = {
        "clients": {"main": client(halo)},
        "integrations": {"own": own},
        "runbooks": {
            "rb": runbook(steps | {"good": {"end": "done"}}),
            "other": runbook({"note": action("create_action", NOTE, retry=[])}, start={"queue": "go.other"}),
        },
    }
    running = await memory_job.start(definition)
    await memory_job.other.send({}, GO)
    await running.settled("rb", "done")
    halo.fault(Fault(FaultKind.ANSWER, "*", "/api/*", times=None, status=503))
    await memory_job.other.send({"name": "x"}, "go.other")
    await running.until(lambda: "not consuming" in running.service.health.parts["runbook rb"].detail)
    await memory_job.other.send({}, GO)
    await memory_job.other.settles(RUN, 1)
    halo.faults.clear()
    await running.settled("rb", "done", 2)


async def test_a_step_that_waits_for_a_token_when_the_worker_stops_goes_back_unsent_and_uncounted(job, api):
    asked, never = asyncio.Event(), asyncio.Event()

    async def hang(_):
        asked.set()
        await never.wait()
        return 200, {}

    api.on_call = hang
    auth = {"type": "oauth2", "grant": "client_credentials", "token_url": f"{api.url}/token", "client_id": "me", "client_secret": "planted"}
    own = {"base_url": api.url, "auth": auth, "allow_hosts": ["127.0.0.1"], "methods": {"post": {"method": "POST", "path": "/things"}}}
    running = await job.start(
        {"integrations": {"own": own}, "runbooks": {"rb": runbook({"ask": {"method": "own.post", "retry": [], "on_failure": "bad"}, "bad": {"end": "failed"}})}}
    )
    await job.other.send({}, GO)
    await soon(asked.wait())
    await running.stop()
    never.set()
    waiting = await job.other.take(RUN)
    assert (Run.read(waiting.message.body).step, waiting.headers["halo-attempts"], waiting.headers["halo-doubtful"]) == ("ask", 0, False)
    assert [call.path for call in api.calls] == ["/token"]
