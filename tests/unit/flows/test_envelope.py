"""The worker's headers on what it sends back, on and away."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.flows.routes import Arrived
from worker.core.message import Message
from worker.core.outcome import DeadClass
from worker.core.settlement import Bury, Retry
from worker.flows.consuming.envelope import at_once, dead_letter, identity_of, opened, retry_copy

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BURY = Bury(DeadClass.REJECTED, "Halo said no", 400, 3)


def arrived(headers: dict[str, Any] | None = None, **fields: Any) -> Arrived:
    return Arrived(Message(b'{"a": 1}', headers or {}, message_id="m1", correlation_id="c1", reply_to="r", type="t", timestamp=AT, expiration=5.0), **fields)


def test_a_fresh_message_was_never_tried_and_is_in_no_doubt():
    envelope = opened(arrived())
    assert (envelope.attempts, envelope.doubtful) == (0, False)
    assert (envelope.message_id, envelope.correlation_id, envelope.exchange, envelope.routing_key) == ("m1", "c1", "erp", "asset.new")


def test_a_message_without_ids_gets_one_that_also_correlates():
    envelope = opened(Arrived(Message(b"")))
    assert len(envelope.message_id) == 32
    assert envelope.correlation_id == envelope.message_id


def test_that_somebody_had_a_message_is_no_doubt_about_an_attempt_but_told_to_its_copies_until_one_is_claimed():
    delivery = arrived(redelivered=True)
    envelope = opened(delivery)
    assert (envelope.redelivered, envelope.doubtful, envelope.copied) == (True, False, False)
    same = opened(Arrived(retry_copy(delivery, envelope, Retry(1.0, 1, doubtful=False, reason="x"))))
    assert (same.redelivered, same.tries, same.copied) == (True, 0, True)
    nexts = opened(Arrived(retry_copy(delivery, envelope, Retry(1.0, 1, doubtful=False, reason="x", marks={"halo-tries": 1}))))
    assert (nexts.redelivered, nexts.tries) == (False, 1)


def test_a_copy_has_waited_only_where_it_is_said_so_and_a_dead_letter_never_has():
    delivery = arrived({"halo-waited": True, "halo-doubtful": True})
    envelope = opened(delivery)
    assert envelope.waited
    waited = {"halo-waited": True}
    assert not opened(Arrived(retry_copy(delivery, envelope, Retry(1.0, 1, doubtful=True, reason="x")))).waited
    assert opened(Arrived(retry_copy(delivery, envelope, Retry(1.0, 1, doubtful=True, reason="x", marks=waited)))).waited
    assert not opened(Arrived(dead_letter(delivery, envelope, replace(BURY, marks=waited), "assets", AT))).waited


def test_a_copy_that_goes_back_before_its_time_is_for_the_same_attempt_and_has_not_waited():
    marks = {"halo-tries": 3, "halo-waited": True, "halo-doubtful": True}
    assert at_once(Retry(None, 1, doubtful=True, reason="x", marks=marks, hold=40.0)) == Retry(
        None, 1, doubtful=True, reason="x", marks={"halo-doubtful": True}, hold=0.0
    )


def test_a_dead_letter_is_for_the_next_attempt_and_one_in_doubt_leaves_it_to_people_whether_it_was_made():
    delivery = arrived(redelivered=True)
    envelope = opened(delivery)
    claimed = dead_letter(delivery, envelope, replace(BURY, marks={"halo-tries": 1}), "assets", AT)
    assert opened(Arrived(claimed)).tries == 1
    assert opened(Arrived(dead_letter(delivery, envelope, BURY, "assets", AT))).redelivered
    assert not opened(Arrived(dead_letter(delivery, envelope, replace(BURY, dead_class=DeadClass.IN_DOUBT), "assets", AT))).redelivered


def test_a_retry_copy_tells_its_history_and_comes_from_where_the_message_first_came():
    first = arrived({"order-id": 7})
    copy = retry_copy(first, opened(first), Retry(1.0, 2, doubtful=True, reason="Halo was away"))
    assert (copy.body, copy.message_id, copy.correlation_id, copy.reply_to, copy.type, copy.timestamp) == (b'{"a": 1}', "m1", "c1", "r", "t", AT)
    assert copy.expiration is None
    assert copy.headers["order-id"] == 7
    again = opened(Arrived(copy, exchange="", routing_key="erp.assets"))
    assert (again.attempts, again.doubtful, again.exchange, again.routing_key) == (2, True, "erp", "asset.new")


def test_a_copy_of_a_message_without_id_keeps_the_id_that_it_was_given():
    first = Arrived(Message(b""))
    envelope = opened(first)
    assert retry_copy(first, envelope, Retry(1.0, 1, doubtful=False, reason="x")).message_id == envelope.message_id


@pytest.mark.parametrize("value", ["3", -1, True, None, 2.0, [], {}])
def test_foreign_values_in_the_attempts_header_count_as_absent(value: Any):
    assert opened(arrived({"halo-attempts": value})).attempts == 0


@pytest.mark.parametrize("value", ["true", 1, "yes", None, [True]])
def test_foreign_values_in_the_doubtful_header_count_as_absent(value: Any):
    assert not opened(arrived({"halo-doubtful": value})).doubtful


def test_the_brokers_own_headers_are_not_carried_on():
    own = {"x-death": [{}], "x-delivery-count": 3, "x-acquired-count": 3, "x-first-death-queue": "q", "x-last-death-reason": "r"}
    delivery = arrived(own | {"x-order": 1})
    for copy in (
        retry_copy(delivery, opened(delivery), Retry(1.0, 1, doubtful=False, reason="x")),
        dead_letter(delivery, opened(delivery), BURY, "assets", AT),
    ):
        assert "x-order" in copy.headers
        assert own.keys().isdisjoint(copy.headers)


def test_a_dead_letter_is_the_original_and_why():
    delivery = arrived({"order-id": 7, "halo-attempts": 2, "halo-retry-reason": "earlier", "original-exchange": "erp", "original-routing-key": "asset.old"})
    letter = dead_letter(delivery, opened(delivery), BURY, "assets", AT)
    assert (letter.body, letter.message_id, letter.correlation_id, letter.expiration) == (b'{"a": 1}', "m1", "c1", None)
    assert letter.headers == {
        "order-id": 7,
        "original-exchange": "erp",
        "original-routing-key": "asset.old",
        "dead-class": "rejected",
        "dead-reason": "Halo said no",
        "dead-status": 400,
        "dead-attempts": 3,
        "dead-route": "assets",
        "dead-at": "2026-03-01T12:00:00+00:00",
    }


def test_a_dead_letter_without_a_status_has_no_such_header():
    letter = dead_letter(arrived(), opened(arrived()), Bury(DeadClass.DECODE, "not JSON", None, 1), "assets", AT)
    assert "dead-status" not in letter.headers


def test_a_dead_letter_keeps_whether_it_is_doubtful_for_whoever_replays_it():
    delivery = arrived({"halo-doubtful": True})
    assert dead_letter(delivery, opened(delivery), BURY, "assets", AT).headers["halo-doubtful"] is True


@pytest.mark.parametrize("doubtful", [True, False])
def test_a_dead_letter_is_doubtful_when_an_attempt_may_have_had_its_effect(doubtful: bool):
    bury = Bury(DeadClass.RETRIES_EXHAUSTED, "no answer", None, 3, doubtful=doubtful)
    assert dead_letter(arrived(), opened(arrived()), bury, "assets", AT).headers.get("halo-doubtful") is (True if doubtful else None)


def test_replays_are_counted_through_retries_and_deaths():
    delivery = arrived({"replays": 2})
    envelope = opened(delivery)
    assert envelope.replays == 2
    for copy in (retry_copy(delivery, envelope, Retry(1.0, 1, doubtful=False, reason="x")), dead_letter(delivery, envelope, BURY, "assets", AT)):
        assert opened(Arrived(copy)).replays == 2


@pytest.mark.parametrize("value", ["3", -1, True, None, 2.0])
def test_foreign_values_in_the_replays_header_count_as_none(value: Any):
    assert opened(arrived({"replays": value})).replays == 0


def test_a_redelivered_copy_is_known_by_queue_id_and_content():
    assert identity_of(arrived()) == identity_of(arrived(redelivered=True))
    assert identity_of(arrived()) != identity_of(arrived(queue="other"))
    assert identity_of(Arrived(Message(b"a"))) != identity_of(Arrived(Message(b"b")))
