"""What a dead letter says of itself, whoever buried it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.tools.headers import CODEC, proven
from tests.unit.flows.routes import Arrived
from worker.config.routes import Routes
from worker.core.delivery_state import Death
from worker.core.errors import ConfigError
from worker.core.message import Message
from worker.flows.dead.letter import DeadQueue, Letter, dead_queues_of, expression_view, letter_of, summary

ASSETS = DeadQueue("erp", "publisher", "assets.dead", "assets")
RECORDS = DeadQueue("tickets", "subscriber", "halo.dead.tickets")
NOBODYS = DeadQueue("unrouted", "unrouted", "halo.unrouted")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADERS = {"dead-class": "rejected", "dead-reason": "no", "dead-status": 400, "dead-attempts": 3, "dead-at": AT.isoformat(), "replays": 2}
DEATH = {"reason": "delivery_limit", "queue": "assets", "exchange": "erp", "routing-keys": ["asset.new"], "count": 1, "time": AT}
EXPIRED = {"reason": "expired", "queue": "assets.retry.10s", "exchange": "", "routing-keys": ["assets.retry.10s"], "count": 4, "time": AT}


def letter_in(box: DeadQueue, message: Message) -> Letter:
    return letter_of(box, message, CODEC)


def message(headers: dict[str, Any] | None = None, body: bytes = b'{"a": 1}', message_id: str = "m1") -> Message:
    return Message(body, headers or {}, message_id=message_id)


def test_a_letter_that_the_worker_buried_is_what_its_headers_say():
    letter = letter_in(ASSETS, message(HEADERS))
    assert summary(letter, AT.timestamp() + 90.4) == {
        "id": "m1", "class": "rejected", "reason": "no", "status": 400, "attempts": 3, "replays": 2, "age": 90,
    }  # fmt: skip


def test_what_the_broker_buried_for_its_delivery_limit_is_crashed_whatever_queues_it_expired_in_before():
    letter = letter_in(ASSETS, message({"x-death": [EXPIRED, DEATH]}))
    assert (letter.dead_class, letter.at, letter.attempts, letter.effect_unknown) == ("crashed", AT, None, True)
    assert "delivered more than 20 times" in letter.reason


@pytest.mark.parametrize(("box", "death"), [(ASSETS, DEATH | {"queue": "other"}), (ASSETS, DEATH | {"reason": "maxlen"}), (RECORDS, DEATH)])
def test_what_came_here_otherwise_is_not_taken_for_crashed(box: DeadQueue, death: dict[str, Any]):
    letter = letter_in(box, message({"x-death": [death]}))
    assert (letter.dead_class, letter.effect_unknown) == ("unknown", False)


def test_the_worker_s_own_word_counts_more_than_the_broker_s():
    buried = proven(Arrived(message({"x-death": [DEATH]}), queue="assets"), death=Death("rejected"), replays=2)
    later = replace(buried, headers=buried.headers | {"x-death": [DEATH]})
    assert (letter_in(ASSETS, later).dead_class, letter_in(ASSETS, later).replays) == ("rejected", 2)


def test_what_a_sender_says_of_a_message_that_the_broker_buried_counts_for_nothing():
    letter = letter_in(ASSETS, message(HEADERS | {"halo-doubtful": True, "original-exchange": "x", "original-routing-key": "y", "x-death": [DEATH]}))
    assert (letter.dead_class, letter.status, letter.replays, letter.state.doubtful) == ("crashed", None, 0, False)
    assert (letter.state.exchange, letter.state.routing_key) == ("erp", "asset.new")
    assert letter.state.headers["dead-class"] == "rejected", "it is kept as the sender's"


def test_an_event_that_nobody_took_says_where_it_was_going():
    letter = letter_in(NOBODYS, message({"original-exchange": "halo", "original-routing-key": "tickets.created"}))
    assert (letter.dead_class, letter.reason) == ("unrouted", "no queue took 'tickets.created' from exchange 'halo'")


@pytest.mark.parametrize(
    "foreign", [{"dead-status": "400"}, {"dead-attempts": True}, {"dead-at": "yesterday"}, {"dead-at": 5}, {"replays": "x"}, {"x-death": "x"}, {"x-death": [1]}]
)
def test_foreign_values_in_our_headers_count_as_absent(foreign: dict[str, Any]):
    letter = letter_in(ASSETS, message({"dead-class": "rejected"} | foreign))
    assert (letter.status, letter.attempts, letter.at, letter.replays, letter.age(0.0)) == (None, None, None, 0, None)


def test_a_letter_without_an_id_can_be_named_and_keeps_its_name():
    nameless = letter_in(ASSETS, message(HEADERS, message_id=""))
    assert nameless.id.startswith("nameless-")
    assert letter_in(ASSETS, message(HEADERS | {"x-delivery-count": 7}, message_id="")).id == nameless.id
    assert letter_in(ASSETS, message(HEADERS, b"{}", message_id="")).id != nameless.id


@pytest.mark.parametrize("other", [message(HEADERS, b"{}"), message(HEADERS | {"dead-at": "2026-03-01T12:00:01Z"}), message(HEADERS | {"replays": 3})])
def test_two_letters_with_one_id_are_told_apart(other: Message):
    assert letter_in(ASSETS, message(HEADERS)).fingerprint != letter_in(ASSETS, other).fingerprint
    assert letter_in(ASSETS, message(HEADERS)).fingerprint == letter_in(ASSETS, message(HEADERS | {"x-delivery-count": 1})).fingerprint


def test_an_expression_sees_headers_as_json_and_a_body_that_is_none_as_its_text():
    seen = expression_view(letter_in(ASSETS, message(HEADERS)), message({"when": AT, "raw": b"x"}), AT.timestamp())
    assert (seen["headers"], seen["body"]) == ({"when": AT.isoformat(), "raw": "x"}, {"a": 1})
    assert expression_view(letter_in(ASSETS, message()), message(body=b"not json \xff"), 0.0)["body"] == "not json \ufffd"


def test_where_a_crashed_message_came_from_is_told_by_the_broker_and_by_the_worker_s_headers_first():
    def origin(headers: dict[str, Any]) -> tuple[str, str]:
        state = letter_in(ASSETS, message(headers)).state
        return state.exchange, state.routing_key

    assert origin({"x-death": [EXPIRED, DEATH]}) == ("erp", "asset.new")
    assert origin({"original-exchange": "a", "original-routing-key": "b"}) == ("a", "b")
    assert origin({}) == ("", "assets")


def test_an_unknown_route_is_answered_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean unrouted"):
        dead_queues_of(Routes(), "unrooted")
    assert dead_queues_of(Routes(), "halo.unrouted") == dead_queues_of(Routes(), "unrouted") == (NOBODYS,)


@pytest.mark.parametrize(("queue", "home"), [("erp.assets.dead", "erp.assets"), ("halo.run.ask.dead", "halo.run.ask"), ("halo.dead.tickets", None)])
def test_a_dead_queue_whose_route_is_gone_goes_by_its_own_name(queue: str, home: str | None):
    assert dead_queues_of(Routes(), queue) == (DeadQueue(queue, "orphaned", queue, home),)
