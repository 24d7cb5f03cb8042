"""What a sender is told of its message, and where that may go."""

from __future__ import annotations

import pytest

from tests.tools.every import every
from tests.unit.flows.routes import Arrived
from worker.core.delivery_state import DeliveryState
from worker.core.message import Message
from worker.core.outcome import DeadClass, Done, NotSent, Refused, Skipped
from worker.core.results import ReplyRule, result_id, result_of
from worker.core.settlement import Ack, Bury, Retry

STATE = DeliveryState("m1", "c1")
OWN_CHANNEL = "amq.rabbitmq.reply-to.g1h2AA9yZXBseUAxMjcxMzEzNDgAAANfAAAAAGsJeQQ=.mOC/3drqE43pGlH3tMuoxA=="
RULE = ReplyRule(("replies.*", "erp.answers"), frozenset({"replies.work"}))


@pytest.mark.parametrize(
    ("outcome", "settlement", "told"),
    [
        (Done("sent", 201, [{"id": 7}], "Asset", 7), Ack(), {"outcome": "done", "id": 7, "status": 201}),
        (Done("it was gone already", 404), Ack(), {"outcome": "done", "status": 404}),
        (Skipped("the route's `when`"), Ack(), {"outcome": "skipped", "reason": "the route's `when`"}),
        (
            Refused(DeadClass.REJECTED, "no", 400),
            Bury(DeadClass.REJECTED, "no", 400, 1),
            {"outcome": "dead", "status": 400, "class": "rejected", "reason": "no"},
        ),
    ],
    ids=["done", "gone", "skipped", "dead"],
)
def test_a_result_tells_what_became_of_the_message(outcome, settlement, told):
    assert result_of(outcome, settlement, "erp", STATE) == {"route": "erp", "message_id": "m1"} | told


def test_a_message_that_is_tried_again_has_no_result_yet():
    assert result_of(NotSent("away"), Retry(10.0, 1, doubtful=False, reason="away"), "erp", STATE) is None


@pytest.mark.parametrize("address", ["replies.billing", "replies.", "erp.answers", OWN_CHANNEL])
def test_a_sender_may_name_reply_queues_and_its_own_channel(address):
    assert RULE.refusal(address) == ""


@every(
    "address",
    [
        "halo.state.tickets",
        "halo.claims",
        "halo.keys",
        "amq.rabbitmq.reply-to",
        "amq.gen-1",
        "replies.work",
        "erp.assets",
        "erp.answers.x",
        "Replies.billing",
        "xreplies.billing",
        "replies.\n",
        "replies." + "x" * 248,
        "replies.\ud83d" + "x" * 248,
    ],
)
def test_a_sender_may_name_no_other_queue(address):
    assert RULE.refusal(address)


@pytest.mark.parametrize("address", ["halo.state.tickets", "amq.gen-1", "amq.rabbitmq.reply-to", "erp.assets.dead"])
def test_no_pattern_leads_to_the_worker_the_broker_or_a_route(address):
    assert ReplyRule(("*",), frozenset({"erp.assets.dead"})).refusal(address)


def test_a_route_without_patterns_answers_on_the_senders_own_channel_only():
    rule = ReplyRule(())
    assert rule.refusal("replies.billing") == "the route allows no queue"
    assert rule.refusal(OWN_CHANNEL) == ""


def test_copies_of_a_message_have_one_result_id_and_other_messages_routes_and_replays_another():
    def number(route: str = "erp", body: bytes = b"{}", message_id: str = "m1", **state) -> str:
        return result_id(route, Arrived(Message(body, message_id=message_id)), DeliveryState(message_id or "made", "c1", **state))

    others = [number("other"), number(body=b"[]"), number(message_id="m2"), number(replays=1), number(replay="letter")]
    assert number() == number(attempts=3, redelivered=True, doubtful=True)
    assert len({number(), *others}) == 6


def test_a_message_without_an_id_keeps_its_result_id_when_its_copy_gets_one():
    first = result_id("erp", Arrived(Message(b"{}")), DeliveryState("made-1", "c", origin="content:ab"))
    assert result_id("erp", Arrived(Message(b"{}", message_id="made-2")), DeliveryState("made-2", "c", origin="content:ab")) == first
