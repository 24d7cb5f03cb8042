"""Names to ids, required members and missing ones in the actions of a runbook."""

from __future__ import annotations

import pytest

from tests.flows.runbooks.conftest import action, call, play
from worker.sandbox.faults import Fault, FaultKind

NOTE = {"ticket_id": 5, "outcome": "Note", "note": "by <<Name>>", "who_agentid": "{{ $id('Agent', {'name': Name}) }}"}
GIVE_UP = {"end": "failed", "reason": "gave up"}


def agent(halo):
    return next(row for row in halo.store.rows("agent") if row["name"] != "Unassigned")


async def test_an_action_finds_an_id_by_a_variable(memory_job, api, halos):
    halo = await halos()
    scene = await play(memory_job, api, {"note": action("create_action", NOTE)}, halo)
    await scene.begin({"name": agent(halo)["name"]})
    await scene.done()
    note = max(halo.store.rows("actions", 5), key=lambda row: row["id"])
    assert note["note"] == f"by {agent(halo)['name']}"
    assert note["who_agentid"] == agent(halo)["id"]


@pytest.mark.parametrize(
    ("payload", "more", "reason"),
    [
        ({"name": "Nobody"}, {}, "$id: no Agent in Halo has this `name`"),
        ({}, {}, "`body.who_agentid` is missing: the expression at routes/routes.yaml:"),
        ({"name": None}, {"missing": "omit", "required": ["who_agentid"]}, "`body.who_agentid` is missing (it is required in routes/routes.yaml:"),
    ],
)
async def test_a_run_without_what_its_action_needs_is_dead_lettered_before_anything_is_sent(memory_job, api, halos, payload, more, reason):
    halo = await halos()
    scene = await play(memory_job, api, {"note": action("create_action", NOTE, **more)}, halo)
    await scene.begin(payload)
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "transform"
    assert reason in letter.headers["dead-reason"]
    assert halo.journal.received("POST", "/Actions") == []


async def test_a_refused_lookup_takes_the_way_of_a_failed_action(memory_job, api, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Agent", status=403))
    scene = await play(memory_job, api, {"note": action("create_action", NOTE, on_failure="stop"), "stop": GIVE_UP}, halo)
    await scene.begin({"name": agent(halo)["name"]})
    letter = await scene.letter()
    assert (letter.headers["dead-class"], letter.headers["dead-reason"]) == ("failed", "gave up")


async def test_an_unanswered_lookup_is_tried_again(memory_job, api, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Agent", status=500, times=2))
    scene = await play(memory_job, api, {"note": action("create_action", NOTE)}, halo)
    await scene.begin({"name": agent(halo)["name"]})
    await scene.done()
    assert len(halo.journal.created("/Actions")) == 1


async def test_the_body_of_a_method_fails_where_an_expression_yields_nothing(memory_job, api):
    methods = {
        "strict": {"method": "POST", "path": "/x", "body": {"a": "{{ Nope }}"}},
        "lax": {"method": "POST", "path": "/x", "missing": "omit", "body": {"a": "{{ Nope }}"}},
    }
    scene = await play(memory_job, api, {"lax": call("lax", next="strict"), "strict": call("strict")}, methods=methods)
    await scene.begin()
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "transform"
    assert "`body.a` is missing" in letter.headers["dead-reason"]
    assert [made.body for made in api.calls] == [{}]
