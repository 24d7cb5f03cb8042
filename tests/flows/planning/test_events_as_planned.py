"""The event that a plan shows for a record is the one that the worker publishes for it."""

from __future__ import annotations

import orjson
import pytest
from aiohttp import ClientSession

from tests.flows.planning.conftest import loaded, planning
from tests.tools.job import listening, routes, subscriber
from worker.app.planning.planner import PlanInput
from worker.flows.local.delivery import LocalLedger

SHAPE = {"id": "{{ id }}", "text": "{{ client_name & ': ' & summary }}", "change": "{{ $change }}", "bad": "{{ id = 9 ? $error('no nines') : null }}"}
OF_THE_BROKER = {"x-delivery-count"}
OF_THE_LIST = {"cloudEvents_id", "dedupe-key"}  # they hold the hash of the row in the list, and a plan knows only the whole record
TICKETS = 12


@pytest.mark.parametrize("details", [False, True])
async def test_an_event_has_the_same_routing_key_headers_and_body_and_what_fails_the_same_reason(memory_job, halos, details):
    halo = await halos(tickets=TICKETS)
    definitions = routes(halo, subscribers={"tickets": subscriber(transform=SHAPE, when="{{ id % 5 != 0 }}", details=details)})
    async with listening(memory_job.other.broker) as listener:
        running = await memory_job.start(definitions)
        await running.polled("tickets")
        letter = await memory_job.other.take("halo.dead.tickets")
        await running.stop()
    published = {letter.body["id"]: letter for letter in listener.letters}
    route = loaded(memory_job.folder, definitions)
    plans = {}
    async with planning(route, route.subscribers["tickets"]) as planner:
        for record in await records(halo, details=details):
            plans[record["id"]] = await planner.plan(route.subscribers["tickets"], PlanInput(orjson.dumps(record)), LocalLedger())
    assert len(plans) == TICKETS
    assert {number for number, plan in plans.items() if plan.outcome == "event"} == set(published)
    left_out = OF_THE_BROKER | (OF_THE_LIST if details else set())
    for number, event in published.items():
        planned = plans[number].event
        assert (planned.exchange, planned.routing_key) == (event.exchange, event.routing_key)
        assert orjson.dumps(planned.body) == event.message.body
        assert {name: planned.headers.get(name) for name in event.headers.keys() - left_out} == {
            name: event.headers[name] for name in event.headers.keys() - left_out
        }
    assert (plans[9].outcome, plans[9].dead_class, plans[9].reason) == ("dead", letter.headers["dead-class"], letter.headers["dead-reason"])
    assert plans[5].outcome == "skipped"


async def records(halo, *, details):
    """The records as Halo answers them: the rows of the list, or each by its id."""
    form = {"grant_type": "client_credentials", "client_id": halo.settings.client_id, "client_secret": halo.settings.client_secret, "scope": "all"}
    async with ClientSession(halo.url) as session:
        async with session.post("/auth/token", data=form) as answer:
            session.headers["Authorization"] = f"Bearer {(await answer.json())['access_token']}"
        async with session.get("/api/Tickets") as answer:
            rows = (await answer.json())["tickets"]
        if not details:
            return rows
        found = []
        for row in rows:
            async with session.get(f"/api/Tickets/{row['id']}", params={"includedetails": "true"}) as answer:
                found.append(await answer.json())
        return found
