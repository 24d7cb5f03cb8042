"""The route files that come with the project."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tools.evaluating import InProcess, evaluated, filled, holds
from worker.cli.check import check
from worker.config.loader import load_routes
from worker.config.run_values import Values
from worker.core.errors import ExpressionError
from worker.core.lookups import LookupAnswer
from worker.flows.lookups.evaluator import LookupEvaluator

SAMPLES = Path(__file__).parents[3] / "routes"
ENVIRONMENT = {
    "HALO_URL": "https://acme.haloitsm.com",
    "HALO_CLIENT_ID": "worker",
    "HALO_CLIENT_SECRET": "planted-Hunter2",
    "COMPLETIONS_URL": "http://127.0.0.1:8091/v1",
    "COMPLETIONS_KEY": "planted-key",
    "COMPLETIONS_HOST": "127.0.0.1:8091",
    "ASK_SECRET": "planted-ask-of-the-test",
    "HOOK_SECRET": "planted-hook-of-the-test",
}
NOBODY = Path("no-secrets")


@pytest.fixture(scope="module")
def routes():
    return load_routes(SAMPLES, ENVIRONMENT, NOBODY)


@pytest.mark.parametrize("folder", ["routes", "docker/routes", "worker/cli/project/routes"])
def test_no_sample_is_blamed(folder):
    assert load_routes(SAMPLES.parent / folder, {}, NOBODY, placeholders=True).warnings == ()


def way_on(step, values):
    """The step that the first branch that holds leads to."""
    return next(branch.go for branch in step.go if branch.when is None or holds(branch.when, values.context(), {}))


def transformed(routes, name, message):
    return evaluated(routes.publishers[name].transform, message, {})


def test_check_shows_what_each_route_does_and_no_secret(capsys, routes):
    assert check(SAMPLES, ENVIRONMENT, NOBODY, as_json=False) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "planted" not in printed.out
    named = (*routes.subscribers, *routes.publishers, *routes.integrations, *routes.runbooks, *routes.webhooks)
    assert [name for name in named if name not in printed.out] == []
    assert "GET Agent every 10s, changes by content → exchange halo, queue events.agents" in printed.out
    assert "queue halo.actions.ask, POST /runbooks/ask-chatgpt, webhook ticket-events → 5 steps, 4 at a time" in printed.out
    assert "1 method of http://127.0.0.1:8091/v1: completions" in printed.out
    assert "ticket_updated at /webhooks/ticket-events → runbook ask-chatgpt" in printed.out
    assert "good: 1 client, 4 subscribers, 5 publishers, 1 integration, 2 runbooks, 1 webhook, 1 table" in printed.out


def test_check_without_the_variables_names_each_of_them(capsys):
    assert check(SAMPLES, {}, NOBODY, as_json=False) == 2
    printed = capsys.readouterr().err
    assert [name for name in ENVIRONMENT if f"`{name}` is not set" not in printed] == []


def test_a_ticket_event_is_what_its_mapping_says(routes):
    ticket = {"id": 5, "summary": " Printer on fire ", "client_name": "Acme", "status_id": 1, "secret": "x"}
    assert evaluated(routes.subscribers["tickets"].transform, ticket, {"change": "created"}) == {
        "id": 5, "summary": "Printer on fire", "client": "Acme", "status": 1, "link": "/tickets?id=5",
    }  # fmt: skip


def test_an_asset_event_is_routed_by_its_customer(routes):
    assert evaluated(routes.subscribers["assets"].routing_key, {"client_id": 12.0}, {"change": "updated"}) == "assets.updated.12"


def test_only_customers_in_use_are_published(routes):
    when = routes.subscribers["clients"].when
    assert [holds(when, client, {}) for client in ({"name": "A", "inactive": False}, {"name": "A"}, {"name": "A", "inactive": True}, {})] == [
        True,
        True,
        False,
        False,
    ]


def test_an_alarm_becomes_a_ticket(routes):
    route = routes.publishers["tickets-from-monitoring"]
    alarm = {"host": "web-1", "check": "disk", "output": "97 %", "severity": 4, "event_id": 12}
    assert holds(route.when, alarm, {})
    assert not holds(route.when, alarm | {"severity": 1}, {})
    payload = transformed(routes, "tickets-from-monitoring", alarm)["payload"]
    assert payload["summary"] == evaluated(route.find.match["summary"], alarm, {}) == "web-1: disk"


def test_an_asset_of_the_master_system_keeps_what_it_has_and_leaves_out_what_it_has_not(routes):
    message = {"serial": "S1", "customer": {"halo_id": 12}}
    assert transformed(routes, "assets-from-erp", message) == {"payload": {"inventory_number": "S1", "client_id": 12}}


def test_a_computer_has_the_ids_of_its_names_and_an_impossible_date_makes_none(routes):
    ids = {"Site": 15, "AssetType": 130}

    class Known:
        async def find(self, entity, members):
            assert members.get("client_id", 1) == 1
            return LookupAnswer(found=True, value=ids[entity])

    message = {"serial": "S1", "type": "Laptop", "customer_code": "ACME", "site": "Berlin", "warranty": "31/12/2027"}
    transform, evaluator = routes.publishers["computers-from-cmdb"].transform, LookupEvaluator(InProcess(), routes.tables, Known())
    payload = asyncio.run(transform.evaluate(message, {}, evaluator))["payload"]
    assert payload == {"inventory_number": "S1", "assettype_id": 130, "client_id": 1, "site_id": 15, "warranty_end": "2027-12-31"}
    for wrong in ({"warranty": "31/02/2027"}, {"customer_code": "ZZ"}, {"site": None}):
        with pytest.raises(ExpressionError):
            asyncio.run(transform.evaluate(message | wrong, {}, evaluator))


def test_a_removal_names_the_asset_in_its_path(routes):
    assert transformed(routes, "asset-removals", {"halo_id": 7}) == {"path": {"id": 7}}


def test_lines_of_a_chat_become_one_note(routes):
    message = {"ticket": 9, "lines": [{"author": "Ann", "text": "hi"}, {"author": "Bob", "text": "ho"}]}
    assert transformed(routes, "notes-from-chat", message) == {"payload": {"ticket_id": 9, "outcome": "Note", "note": "Ann: hi\nBob: ho"}}


def test_a_note_becomes_a_question_and_the_answer_a_note(routes):
    runbook = routes.runbooks["ask-chatgpt"]
    payload = {"action": {"note": 'Is it "off"?'}, "ticket": {"id": 12}}
    variables = {name: path.find(payload).value for name, path in runbook.input.items()}
    asked = Values(variables, request=payload)
    assert way_on(runbook.steps[runbook.first], asked) == "ask"
    call = runbook.steps["ask"].method
    assert filled(call.body, asked)["messages"][1] == {"role": "user", "content": 'Is it "off"?'}
    answer = {"choices": [{"message": {"content": "Yes."}}]}
    answered = replace(asked, variables=variables | {"ResponseText": call.output["ResponseText"].find(answer).value}, status=200)
    assert way_on(runbook.steps["ask"], answered) == "reply"
    reply = runbook.steps["reply"]
    assert filled(reply.body, answered) == {"ticket_id": 12, "outcome": "Note", "note_html": "Yes.", "hiddenfromuser": True}
    assert {name: evaluated(template, answered.context(), {}) for name, template in reply.find.match.items()} == {"note_html": "Yes."}


def test_without_a_question_nothing_is_asked_and_without_an_answer_the_run_fails(routes):
    steps = routes.runbooks["ask-chatgpt"].steps
    nothing = Values({"TicketId": 12}, status=200)
    assert [way_on(steps[name], nothing) for name in ("asked", "ask")] == ["nothing_asked", "no_answer"]
    assert filled(steps["no_answer"].reason, nothing) == "no answer to the question on ticket 12"


def test_spam_says_so_in_its_summary(routes):
    runbook = routes.runbooks["mark-as-spam"]
    payload = {"ticket": {"id": 7, "summary": "You won"}}
    values = Values({name: path.find(payload).value for name, path in runbook.input.items()}, frozenset(("Summary",)), request=payload)
    assert filled(runbook.steps["close"].body, values) == {"id": 7, "summary": "[spam] You won", "status_id": 9}


def test_only_notes_that_ask_start_the_webhooks_runbook(routes):
    webhook = routes.webhooks["ticket-events"]
    assert [holds(webhook.when, {"action": {"outcome": outcome}}, {}) for outcome in ("Ask ChatGPT", "Note")] == [True, False]
    assert (evaluated(webhook.id, {"id": "a-b"}, {}), webhook.events) == ("a-b", (61,))
