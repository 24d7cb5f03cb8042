"""What a message's state becomes on the copies that the worker makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.tools.headers import dead_letter, opened, proven, retry_copy
from tests.unit.flows.routes import Arrived
from worker.core.message import Message, identity_of
from worker.core.outcome import DeadClass
from worker.core.settlement import Bury, Retry
from worker.flows.consuming.copies import without_delay

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BURY = Bury(DeadClass.REJECTED, "Halo said no", 400, 3)
RETRY = Retry(1.0, 1, doubtful=False, reason="x")


def arrived(headers: dict[str, Any] | None = None, **fields: Any) -> Arrived:
    return Arrived(Message(b'{"a": 1}', headers or {}, message_id="m1", correlation_id="c1", reply_to="r", type="t", timestamp=AT, expiration=5.0), **fields)


def copied(headers: dict[str, Any] | None = None, **state: Any) -> Arrived:
    """A message that comes again as a copy of a worker's."""
    return Arrived(proven(arrived(headers), **state), exchange="", routing_key="erp.assets")


def test_a_fresh_message_was_never_tried_and_is_in_no_doubt():
    state = opened(arrived())
    assert (state.attempts, state.doubtful, state.copied) == (0, False, False)
    assert (state.message_id, state.correlation_id, state.exchange, state.routing_key) == ("m1", "c1", "erp", "asset.new")


def test_a_message_without_ids_gets_one_that_also_correlates():
    state = opened(Arrived(Message(b"")))
    assert len(state.message_id) == 32
    assert state.correlation_id == state.message_id


def test_that_another_had_a_message_is_no_doubt_about_an_attempt_but_stays_on_its_copies_until_one_is_claimed():
    delivery = arrived(redelivered=True)
    state = opened(delivery)
    assert (state.redelivered, state.doubtful, state.copied) == (True, False, False)
    same = opened(Arrived(retry_copy(delivery, state, RETRY)))
    assert (same.redelivered, same.tries, same.copied) == (True, 0, True)
    nexts = opened(Arrived(retry_copy(delivery, state, replace(RETRY, state_updates={"tries": 1}))))
    assert (nexts.redelivered, nexts.tries) == (False, 1)


def test_a_copy_has_waited_only_where_it_is_said_so_and_a_dead_letter_never_has():
    delivery = copied(waited=True, doubtful=True)
    state = opened(delivery)
    assert state.waited
    assert not opened(Arrived(retry_copy(delivery, state, RETRY))).waited
    assert opened(Arrived(retry_copy(delivery, state, replace(RETRY, state_updates={"waited": True})))).waited
    assert not opened(Arrived(dead_letter(delivery, state, replace(BURY, state_updates={"waited": True}), "assets", AT))).waited


def test_a_copy_that_goes_back_before_its_time_is_for_the_same_attempt_and_has_not_waited():
    marks = {"tries": 3, "waited": True, "doubtful": True}
    assert without_delay(Retry(None, 1, doubtful=True, reason="x", state_updates=marks, hold=40.0)) == Retry(
        None, 1, doubtful=True, reason="x", state_updates={"doubtful": True}, hold=0.0
    )


def test_a_dead_letter_is_for_the_next_attempt_and_one_in_doubt_leaves_it_to_people_whether_it_was_made():
    delivery = arrived(redelivered=True)
    state = opened(delivery)
    assert opened(Arrived(dead_letter(delivery, state, replace(BURY, state_updates={"tries": 1}), "assets", AT))).tries == 1
    assert opened(Arrived(dead_letter(delivery, state, BURY, "assets", AT))).redelivered
    assert not opened(Arrived(dead_letter(delivery, state, replace(BURY, dead_class=DeadClass.IN_DOUBT), "assets", AT))).redelivered


def test_a_retry_copy_tells_its_history_and_comes_from_where_the_message_first_came():
    first = arrived({"order-id": 7})
    copy = retry_copy(first, opened(first), Retry(1.0, 2, doubtful=True, reason="Halo was away"))
    assert (copy.body, copy.message_id, copy.correlation_id, copy.reply_to, copy.type, copy.timestamp) == (b'{"a": 1}', "m1", "c1", "r", "t", AT)
    assert copy.expiration is None
    assert copy.headers["order-id"] == 7
    again = opened(Arrived(copy, exchange="", routing_key="erp.assets"))
    assert (again.attempts, again.doubtful, again.exchange, again.routing_key) == (2, True, "erp", "asset.new")


def test_a_copy_of_a_message_without_id_keeps_the_id_that_it_was_given_and_what_it_was_known_by():
    first = Arrived(Message(b""))
    state = opened(first)
    copy = retry_copy(first, state, RETRY)
    assert copy.message_id == state.message_id
    assert opened(Arrived(copy)).origin == state.origin != ""


def test_a_dead_letter_is_the_original_and_why():
    delivery = copied({"order-id": 7}, attempts=2, reason="earlier", exchange="erp", routing_key="asset.old")
    letter = dead_letter(delivery, opened(delivery), BURY, "assets", AT)
    assert (letter.body, letter.message_id, letter.correlation_id, letter.expiration) == (b'{"a": 1}', "m1", "c1", None)
    assert {name: value for name, value in letter.headers.items() if name != "halo-mac"} == {
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
    delivery = copied(doubtful=True)
    assert dead_letter(delivery, opened(delivery), BURY, "assets", AT).headers["halo-doubtful"] is True


@pytest.mark.parametrize("doubtful", [True, False])
def test_a_dead_letter_is_doubtful_when_an_attempt_may_have_had_its_effect(doubtful: bool):
    bury = Bury(DeadClass.RETRIES_EXHAUSTED, "no answer", None, 3, doubtful=doubtful)
    assert dead_letter(arrived(), opened(arrived()), bury, "assets", AT).headers.get("halo-doubtful") is (True if doubtful else None)


def test_replays_are_counted_through_retries_and_deaths():
    delivery = copied(replays=2)
    state = opened(delivery)
    assert state.replays == 2
    for copy in (retry_copy(delivery, state, RETRY), dead_letter(delivery, state, BURY, "assets", AT)):
        assert opened(Arrived(copy)).replays == 2


def test_a_redelivered_copy_is_known_by_queue_id_and_content():
    assert identity_of(arrived()) == identity_of(arrived(redelivered=True))
    assert identity_of(arrived()) != identity_of(arrived(queue="other"))
    assert identity_of(Arrived(Message(b"a"))) != identity_of(Arrived(Message(b"b")))
