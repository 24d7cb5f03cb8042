"""Every Halo API action through a runbook against the simulated Halo, with the JSON that `halo-worker actions` shows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.runbooks.conftest import action, play
from tests.tools.sizes import every_nth
from worker.catalogue.actions import ACTIONS
from worker.flows.running.run_message import Run
from worker.sandbox.faults import Fault, FaultBody, FaultKind

OURS: dict[str, dict[str, Any]] = {
    "edit_customer": {"id": 2},
    "create_site": {"client_id": 2},
    "edit_site": {"id": 2, "client_id": 2},
    "create_user": {"client_id": 2, "site_id": 2},
    "edit_user": {"id": 2, "client_id": 2, "site_id": 2},
    "create_asset": {"client_id": 2, "site_id": 2, "assettype_id": 1, "fields": []},
    "edit_asset": {"id": 2, "client_id": 2, "site_id": 2, "assettype_id": 1, "fields": []},
    "edit_lookup": {"id": 2},
    "edit_kb_article": {"id": 2},
    "edit_ticket_rule": {"id": 1},
    "edit_custom_table": {"id": 1},
    "create_ticket": {"client_id": 2, "site_id": 2, "user_id": 2},
    "update_ticket": {"id": 5},
    "create_action": {"ticket_id": 5},
    "create_attachment": {"ticket_id": 5},
}
"""What of each template must be of the simulated tenant."""
WRITING = [name for name, one in ACTIONS.items() if one.method == "POST"]


def body_of(name: str) -> dict[str, Any]:
    return dict(ACTIONS[name].template) | OURS.get(name, {})


def prepared(halo, name):
    """The template's body for this tenant, with the id of a record that is there before for an edit."""
    body, entity = body_of(name), ACTIONS[name].entity.lower()
    if "id" in body and (entity == "lookup" or halo.store.get(entity, body["id"]) is None):
        body["id"] = halo.store.create(entity, {"name": "there before", "lookupid": body.get("lookupid")})["id"]
    return body


@pytest.mark.parametrize("name", every_nth(3, WRITING))
async def test_it_writes_what_its_template_says_and_its_answer_gives_variables(memory_job, api, halos, name):
    halo = await halos(ticket_update_needs_type=True)
    body = prepared(halo, name)
    branches = [{"when": "$exists(Made) and status < 300", "go": "good"}, {"go": "bad"}]
    steps = {"do": action(name, body, output={"Made": "response^id"}, next=branches), "good": {"end": "done"}, "bad": {"end": "failed"}}
    scene = await play(memory_job, api, steps, halo)
    await scene.begin()
    await scene.done()
    [done] = halo.journal.executed("POST", f"/{ACTIONS[name].entity}")
    [sent] = done.body
    assert sent.items() >= body.items()
    if name.startswith("create"):
        assert (len(done.created), done.updated) == (1, ())
    else:
        assert (done.created, done.updated) == ((), (body["id"],))


async def test_a_body_given_with_variables_becomes_a_note_on_the_ticket_of_the_payload(job, api, halos):
    halo = await halos()
    note = {"ticket_id": "<<Number>>", "outcome": "Note", "note_html": "<p><<Name>></p>", "hiddenfromuser": True}
    scene = await play(job, api, {"do": action("create_action", note)}, halo)
    await scene.begin({"name": "hello", "number": 7})
    await scene.done()
    [done] = halo.journal.executed("POST", "/Actions")
    assert done.body == [note | {"ticket_id": 7, "note_html": "<p>hello</p>"}]


async def test_the_global_settings_can_be_read_into_variables(job, api, halos):
    halo = await halos()
    halo.store.create("control", {"id": 1, "company": "Acme"})
    branches = [{"when": "status = 200 and Company = 'Acme'", "go": "good"}, {"go": "bad"}]
    steps = {"read": action("get_control", output={"Company": "response[0]^company!"}, next=branches), "good": {"end": "done"}, "bad": {"end": "failed"}}
    scene = await play(job, api, steps, halo)
    await scene.begin()
    await scene.done()
    assert len(halo.journal.received("GET", "/Control")) == 1


@pytest.mark.parametrize("name", every_nth(3, [name for name in WRITING if ACTIONS[name].required]))
async def test_a_body_without_what_it_needs_is_refused_before_anything_is_sent(memory_job, api, halos, name):
    halo = await halos()
    for need in ACTIONS[name].required:
        names = (need,) if isinstance(need, str) else need
        body = {key: value for key, value in body_of(name).items() if key not in names} | dict.fromkeys(names, "<<Nothing>>")
        await refused(memory_job, api, halo, name, body, " or ".join(names))


async def refused(stage, api, halo, name, body, what):
    """With and without somewhere to go."""
    for on_failure in ({"on_failure": "told"}, {}):
        steps = {"do": action(name, body, **on_failure)} | ({"told": {"end": "failed", "reason": "told"}} if on_failure else {})
        scene = await play(stage, api, steps, halo, input={"Nothing": "request^nothing"})
        await scene.begin()
        letter = await scene.letter()
        reason = "told" if on_failure else f"step 'do': not sent: {name} needs {what}"
        assert (letter.headers["dead-reason"], letter.headers["dead-class"]) == (reason, "failed" if on_failure else "rejected")
        await scene.running.stop()
    assert halo.journal.executed() == []


async def test_an_update_of_a_ticket_sends_its_type_and_customer_back_as_they_are(job, api, halos):
    halo = await halos(ticket_update_needs_type=True)
    ticket = halo.store.update("tickets", 5, {"tickettype_id": 3, "client_id": 2})
    scene = await play(job, api, {"do": action("update_ticket", {"id": 5, "summary": "[spam] <<Name>>"})}, halo)
    await scene.begin()
    await scene.done()
    [done] = halo.journal.executed("POST", "/Tickets")
    assert done.body == [{"id": 5, "summary": "[spam] Ada", "tickettype_id": 3, "client_id": 2}]
    assert halo.store.get("tickets", 5)["tickettype_id"] == ticket["tickettype_id"]


async def test_an_update_that_says_type_and_customer_itself_reads_nothing_first(memory_job, api, halos):
    halo = await halos(ticket_update_needs_type=True)
    scene = await play(memory_job, api, {"do": action("update_ticket", {"id": 5, "tickettype_id": 2, "client_id": 3})}, halo)
    await scene.begin()
    await scene.done()
    assert halo.journal.received("GET", "/Tickets/*") == []
    assert halo.store.get("tickets", 5)["tickettype_id"] == 2


async def test_an_update_of_a_ticket_that_is_not_there_is_refused(memory_job, api, halos):
    halo = await halos()
    scene = await play(memory_job, api, {"do": action("update_ticket", {"id": 999_999, "summary": "x"})}, halo)
    await scene.begin()
    letter = await scene.letter()
    assert (letter.headers["dead-class"], letter.headers["dead-status"]) == ("rejected", 404)
    assert halo.journal.executed("POST") == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.CUT, "GET", "/Tickets/5"),
        Fault(FaultKind.ANSWER, "GET", "/Tickets/5", status=200, body=FaultBody.STRING),
        Fault(FaultKind.ANSWER, "GET", "/Tickets/5", status=200, body=FaultBody.EMPTY),
        Fault(FaultKind.ANSWER, "GET", "/Tickets/5", status=500),
        Fault(FaultKind.HTML, "GET", "/Tickets/5"),
    ],
    ids=["cut", "a text", "nothing", "an error", "a web page"],
)
async def test_a_ticket_that_cannot_be_read_is_not_taken_for_updated(memory_job, api, halos, fault):
    halo = await halos(ticket_update_needs_type=True)
    halo.fault(fault)
    scene = await play(memory_job, api, {"do": action("update_ticket", {"id": 5, "summary": "new"})}, halo)
    await scene.begin()
    await scene.done()
    assert halo.store.get("tickets", 5)["summary"] == "new"
    assert scene.count("retried") == 1


async def test_what_is_read_for_an_update_does_not_get_into_the_variables(memory_job, api, halos):
    halo = await halos(ticket_update_needs_type=True)
    steps = {"do": action("update_ticket", "<<Ticket>>", next="stop"), "stop": {"end": "failed"}}
    scene = await play(memory_job, api, steps, halo, input={"Ticket": "request"})
    await scene.begin({"id": 5, "summary": "new"})
    run = Run.read((await scene.letter()).message.body)
    assert run.variables == {"Ticket": {"id": 5, "summary": "new"}}
    assert halo.store.get("tickets", 5)["summary"] == "new"


async def test_rows_are_added_to_a_custom_table_once_or_parked_since_nothing_tells_whether_they_were(memory_job, api, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.CLOSE, "POST", "/CustomTable", executed=True))
    scene = await play(memory_job, api, {"do": action("edit_custom_table", prepared(halo, "edit_custom_table"))}, halo)
    await scene.begin()
    assert (await scene.letter()).headers["dead-class"] == "in_doubt"
    assert len(halo.journal.executed("POST", "/CustomTable")) == 1
