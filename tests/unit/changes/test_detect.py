"""What a row is: news, something to be learnt, or known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from worker.changes.detect import ScanContext, classify_change, dedupe_key

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MOMENTS = st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
CONTEXTS = st.builds(ScanContext, st.booleans(), MOMENTS, MOMENTS)


def row(updated: datetime | None = None, born: datetime | None = None) -> dict[str, str | int]:
    return {"id": 1} | ({"lastupdate": updated.isoformat()} if updated else {}) | ({"dateoccurred": born.isoformat()} if born else {})


@given(MOMENTS, MOMENTS, CONTEXTS)
def test_a_known_record_with_the_same_content_is_never_news(updated: datetime | None, born: datetime | None, context: ScanContext):
    assert classify_change(row(updated, born), "aa", "aa", context) is None


@given(MOMENTS, MOMENTS, CONTEXTS)
def test_a_known_record_with_other_content_is_always_updated_even_while_learning(updated: datetime | None, born: datetime | None, context: ScanContext):
    assert classify_change(row(updated, born), "aa", "bb", context) == "updated"


@given(MOMENTS, MOMENTS, MOMENTS, MOMENTS)
def test_while_learning_what_is_unknown_is_learnt(updated: datetime | None, born: datetime | None, since: datetime | None, cursor: datetime | None):
    assert classify_change(row(updated, born), None, "aa", ScanContext(True, since, cursor)) == "baseline"


@given(MOMENTS, MOMENTS, CONTEXTS)
def test_what_is_unknown_always_becomes_known(updated: datetime | None, born: datetime | None, context: ScanContext):
    assert classify_change(row(updated, born), None, "aa", context) in {"created", "updated", "baseline"}


def test_in_a_window_an_unknown_record_is_created_when_it_was_born_in_it_and_updated_when_before():
    window = ScanContext(since=NOON)
    assert classify_change(row(NOON + HOUR, NOON), None, "aa", window) == "created"
    assert classify_change(row(NOON + HOUR, NOON - HOUR), None, "aa", window) == "updated"
    assert classify_change(row(NOON + HOUR), None, "aa", window) == "created"


def test_a_whole_list_read_after_the_first_meets_old_strangers_that_are_no_news():
    later = ScanContext(cursor=NOON)
    assert classify_change(row(NOON - HOUR), None, "aa", later) == "baseline"
    assert classify_change(row(NOON), None, "aa", later) == "created"
    assert classify_change(row(), None, "aa", later) == "created"


def test_the_key_of_an_event_tells_apart_what_differs_and_nothing_else():
    parts = ("main", "Tickets", "7", "aa", "bb")
    assert dedupe_key(*parts) == dedupe_key(*parts) == "main/Tickets/7:aa:bb"
    keys = {dedupe_key(*parts), *(dedupe_key(*parts[:i], "other", *parts[i + 1 :]) for i in range(5))}
    assert len(keys) == 6
    assert dedupe_key("main", "Tickets", "7", None, "bb") == "main/Tickets/7:new:bb"
    assert dedupe_key("main", "Tickets", "7", "aa", None) == "main/Tickets/7:aa:gone"


@given(st.none() | st.just("aa"), CONTEXTS)
def test_what_an_operator_wants_once_more_is_news_though_it_is_known(previous: str | None, context: ScanContext):
    once_more = replace(context, republish_since=NOON)
    assert classify_change(row(NOON, NOON), previous, "aa", once_more) == "created"
    assert classify_change(row(NOON, NOON - HOUR), previous, "aa", once_more) == "updated"
    assert classify_change(row(), previous, "aa", once_more) == ("created" if previous is None else "updated")


@given(CONTEXTS)
def test_what_is_older_than_an_operator_wants_is_no_news(context: ScanContext):
    once_more = replace(context, republish_since=NOON)
    assert classify_change(row(NOON - HOUR), "aa", "aa", once_more) is None
    assert classify_change(row(NOON - HOUR), "aa", "bb", once_more) == "updated"
    assert classify_change(row(NOON - HOUR), None, "aa", once_more) == "baseline"
