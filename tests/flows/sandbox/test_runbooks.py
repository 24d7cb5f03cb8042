"""The simulated Halo runs documents of runbooks: started by hand, by events and by callers, with its own words for how a run ended."""

import asyncio
import base64
import hashlib
import hmac

import pytest

from tests.tools.halo_documents import CUSTOMER, DONE, FAIL, act, call, chain, condition, declare, ends, runbook, sleep, variable
from tests.tools.waiting import SOON


async def made(visitor, document):
    """The GUID of a runbook that an application creates."""
    answer = await visitor.post("/Webhook", [{name: value for name, value in document.items() if name != "id"}])
    assert answer.status == 201, answer.body
    return answer.json["id"]


async def run_of(visitor, number=1):
    await asyncio.wait_for(visitor.halo.runs.join(), SOON)
    return (await visitor.get(f"/Automation/{number}")).json


NOTE = [act(1, "Note", 3, '{"ticket_id": <<ticket^id>>, "outcome": "Note", "note_html": "seen: <<ticket^summary!>>"}', DONE, FAIL), *ends()]


async def test_a_run_that_is_started_by_hand_has_the_form_as_its_request(visit):
    async with visit() as visitor:
        steps = [act(1, "Make", 1, '{"summary": "for <<request^who!>>"}', DONE, FAIL), *ends()]
        started = await visitor.post(f"/Automation/{await made(visitor, runbook('Make', steps))}", {"formCollection": [{"Key": "who", "Value": "Ada"}]})
        assert (started.status, started.body) == (200, b"")
        run = await run_of(visitor)
        assert (run["status"], run["runbook_step"], run["steps_executed"], "error" in run) == (2, DONE, 1, False)
        assert [entry.body[0]["summary"] for entry in visitor.halo.journal.executed("POST", "/Tickets")] == ["for Ada"]


@pytest.mark.parametrize(("sets", "said"), [(False, "own"), (True, "form")])
async def test_a_form_sets_declared_variables_only_where_the_switch_says_so(visit, sets, said):
    async with visit(form_sets_variables=sets) as visitor:
        document = runbook("Make", [act(1, "Make", 1, '{"summary": "<<Who>>"}', DONE, FAIL), *ends()], [declare("Who", "own")])
        await visitor.post(f"/Automation/{await made(visitor, document)}", {"formCollection": [{"Key": "Who", "Value": "form"}]})
        await run_of(visitor)
        assert [entry.body[0]["summary"] for entry in visitor.halo.journal.executed("POST", "/Tickets")] == [said]


async def test_an_event_starts_a_runbook_with_what_a_webhook_would_be_sent(visit):
    async with visit() as visitor:
        identifier = await made(visitor, runbook("Note", NOTE))
        notification = {"webhook_id": identifier, "type": -2, "delivery_method": 6, "eventno": "3", "filter_type": 2, "conditions": []}
        await visitor.post("/Notification", [notification])
        ticket = (await visitor.post("/Tickets", [{"summary": "On fire", "client_id": 2}])).json["id"]
        assert (await run_of(visitor))["status"] == 2
        [done] = visitor.halo.journal.executed("POST", "/Actions")
        assert (done.body[0]["ticket_id"], done.body[0]["note_html"]) == (ticket, "seen: On fire")


async def test_a_public_start_asks_for_the_signature_of_the_raw_body(visit):
    async with visit() as visitor:
        document = runbook(
            "Public", NOTE, runbook_start_type=1, inbound_authentication_type=3, authentication_header="X-Sign", digest=1, signature_prefix="sha256="
        )
        path = f"/api/automation/{await made(visitor, document | {'basic_password': 'key'})}"
        body = b'{"ticket": {"id": 4, "summary": "x"}}'
        right = "sha256=" + hmac.new(b"key", body, hashlib.sha256).hexdigest()
        for signature, status in ((right[:-1] + ("0" if right[-1] != "0" else "1"), 401), (right, 200)):
            assert (await visitor.call("POST", path, bearer=False, data=body, headers={"X-Sign": signature})).status == status
        assert (await visitor.call("POST", path, bearer=False, data=body)).status == 401
        assert (await run_of(visitor))["status"] == 2


async def test_a_public_start_may_ask_for_basic_credentials(visit):
    async with visit() as visitor:
        document = runbook("Public", NOTE, runbook_start_type=1, inbound_authentication_type=1, basic_username="ada", basic_password="pass")
        path = f"/api/automation/{await made(visitor, document)}"
        for pair, status in (("ada:wrong", 401), ("ada:pass", 200)):
            headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
            assert (await visitor.call("POST", path, bearer=False, json={}, headers=headers)).status == status
        assert (await visitor.call("POST", path, bearer=False, json={}, headers={"Authorization": "Basic §"})).status == 401


@pytest.mark.parametrize(
    ("steps", "error"),
    [
        ([act(1, "Make", 1, '{"summary": ""', DONE, FAIL), *ends()], f"Failed result reached. Last step={FAIL}"),
        ([act(1, "Make", 1, '{"summary": "<<Nothing>>"}', DONE, FAIL), *ends()], "<<Nothing>>"),
        ([act(1, "Make", 2, '{"id": 999999, "summary": "x"}', DONE), *ends()], "Failed result reached. Last step=1"),
        ([sleep(1, "Hop", 0, 1)], "Infinite loop detected"),
        ([condition(1, "Is?", [variable("Customer", 0, "<<OrderId>>")], DONE, FAIL), *ends()], f"Failed result reached. Last step={FAIL}"),
        ([call(1, "Call", 77, DONE, FAIL), *ends()], "method 77"),
        ([sleep(1, "Hop", 0, 55)], "Next step not found"),
    ],
)
async def test_a_run_that_fails_says_why(visit, steps, error):
    async with visit(runbook_steps=50) as visitor:
        document = runbook("Fails", steps, CUSTOMER)
        await visitor.post(
            f"/Automation/{await made(visitor, document)}", {"formCollection": [{"Key": "customer", "Value": "4711"}, {"Key": "order", "Value": "4711"}]}
        )
        run = await run_of(visitor)
        assert (run["status"], run["error"]) == (1, error)


async def test_a_run_that_starts_another_one_ends_with_it(visit):
    async with visit() as visitor:
        second = await made(visitor, runbook("Second", [act(1, "Make", 1, '{"summary": "<<Who>>"}', DONE, FAIL), *ends()], [declare("Who")]))
        step = chain(1, "Go on", "x", input_values=[{"key": "Who", "value": "first"}]) | {"start_new_runbook_id": second}
        await visitor.post(f"/Automation/{await made(visitor, runbook('First', [step]))}", {})
        first = await run_of(visitor)
        assert (first["status"], first["runbook_step"]) == (2, -9999)
        assert (await run_of(visitor, 2))["status"] == 2
        assert [entry.body[0]["summary"] for entry in visitor.halo.journal.executed("POST", "/Tickets")] == ["first"]


async def test_a_sleep_takes_as_long_as_the_switch_says(visit):
    async with visit(runbook_second=0.0) as visitor:
        await visitor.post(f"/Automation/{await made(visitor, runbook('Sleeps', [sleep(1, 'Wait', 86400, DONE), *ends()]))}", {})
        assert (await run_of(visitor))["status"] == 2


@pytest.mark.parametrize(
    "steps", [[7], [{"step_id": 1, "isstart": True, "steptype": 1, "step_conditions": [7], "actions": []}], [sleep(1, "Hop", 0, 2) | {"actions": 7}]]
)
async def test_a_document_that_cannot_be_run_fails_and_the_next_run_goes_on(visit, steps):
    async with visit() as visitor:
        await visitor.post(f"/Automation/{await made(visitor, runbook('Broken', steps))}", {})
        assert (await run_of(visitor))["error"].startswith("The document cannot be run")
        await visitor.post(f"/Automation/{await made(visitor, runbook('Sound', [sleep(1, 'Hop', 0, DONE), *ends()]))}", {})
        assert (await run_of(visitor, 2))["status"] == 2
