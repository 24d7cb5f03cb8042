"""A change as a CloudEvent, whose identity is the same for every copy of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.tools.evaluating import InProcess, now
from tests.unit.flows.routes import Given, Holding, subscriber
from worker.changes.detect import Change
from worker.config.compiled import Report
from worker.config.routes import Subscriber
from worker.core.errors import ExpressionError, Undecodable
from worker.flows.polling.events import Event, deletion, event_of, passes_when

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RECORD = {"id": 7, "summary": "x", "lastupdate": "2026-02-03T04:05:06.789"}
CHANGE = Change("updated", "7", RECORD, "aa", "bb")
SOURCE = "https://acme.haloitsm.com/api/Tickets"


def made(route: Subscriber, change: Change, position: str = "") -> Event:
    return now(event_of(route, change, SOURCE, NOW, position, InProcess()))


def headers(change: Change = CHANGE, position: str = "1.5", **fields: Any) -> dict[str, Any]:
    return dict(made(subscriber(**fields), change, position).message.headers)


def test_the_headers_are_those_of_cloudevents_in_binary_mode():
    assert headers() == {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": "main/Tickets/7:aa:bb",
        "cloudEvents_source": SOURCE,
        "cloudEvents_type": "com.haloitsm.tickets.updated",
        "cloudEvents_subject": "7",
        "cloudEvents_time": "2026-02-03T04:05:06.789000Z",
        "dedupe-key": "main/Tickets/7:aa:bb",
    }


def test_a_record_without_a_stamp_was_changed_now():
    assert headers(Change("created", "7", {"id": 7}, None, "bb"))["cloudEvents_time"] == "2026-03-01T12:00:00Z"


def test_rows_of_two_reports_that_are_alike_are_events_of_their_own():
    """Two lookup tables have the same key and the same content: a reader that drops copies must not drop one of them."""
    report = Report(("", ""), None, {"id": "int"})
    keys = {made(replace(subscriber(report=report), name=name), CHANGE).message.headers["dedupe-key"] for name in ("states", "sites@main", "sites@second")}
    assert keys == {"main/Tickets/states/7:aa:bb", "main/Tickets/sites/7:aa:bb"}, "the client is in the key already"


def test_copies_of_an_event_share_the_dedupe_key_and_differ_in_their_message_id():
    first, second = (made(subscriber(), CHANGE, position).message for position in ("1.5", "1.6"))
    assert first.headers["dedupe-key"] == second.headers["dedupe-key"]
    assert first.message_id != second.message_id


def test_a_record_created_in_one_poll_and_again_in_the_next_after_a_crash_has_one_key():
    created = Change("created", "7", RECORD, None, "bb")
    assert headers(created, "1.5")["dedupe-key"] == headers(created, "1.6")["dedupe-key"] == "main/Tickets/7:new:bb"


def test_with_changes_all_each_poll_is_told_apart():
    change = Change("updated", "7", RECORD, None, "bb")
    assert headers(change, "1.5", changes="all")["dedupe-key"] != headers(change, "1.6", changes="all")["dedupe-key"]


def test_the_body_is_the_record_or_what_the_transform_makes_of_it():
    assert json.loads(made(subscriber(), CHANGE).message.body) == RECORD
    event = made(subscriber(transform=Given(lambda record: {"n": record["id"]})), CHANGE)
    assert json.loads(event.message.body) == {"n": 7}


def test_it_goes_to_the_routes_exchange_under_entity_and_change():
    event = made(subscriber(exchange="sync"), CHANGE)
    assert (event.exchange, event.routing_key) == ("sync", "tickets.updated")


@pytest.mark.parametrize("key", [None, 7, "x" * 256, "ü" * 128])
def test_a_routing_key_that_amqp_cannot_carry_is_an_error_of_this_record(key: Any):
    with pytest.raises(ExpressionError, match="at most 255 bytes"):
        made(subscriber(routing_key=Given(key)), CHANGE)


def test_a_transform_that_yields_what_json_cannot_hold_is_an_error_of_this_record():
    with pytest.raises(Undecodable):
        made(subscriber(transform=Given(object())), CHANGE)


def test_a_deletion_names_what_identified_the_record():
    gone = deletion(subscriber(key=("ticket_id", "id")), "12/4", "aa")
    assert gone == Change("deleted", "12/4", {"ticket_id": 12, "id": 4}, "aa", None)
    assert headers(gone)["dedupe-key"] == "main/Tickets/12/4:aa:gone"


def test_the_filter_lets_deletions_through_since_nothing_is_left_to_filter_by():
    route = subscriber(when=Holding(lambda record: record["summary"] == "y"))
    assert not now(passes_when(route, CHANGE, InProcess()))
    assert now(passes_when(route, deletion(route, "7", "aa"), InProcess()))
    assert now(passes_when(subscriber(), CHANGE, InProcess()))
