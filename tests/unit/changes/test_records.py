"""Identity, content and stamps of records, as Halo writes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.changes.records import VOLATILE, content_hash, created_at, halo_time, identity, parse_stamp, record_key, updated_at

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.dictionaries(st.text(min_size=1, max_size=8), JSON, max_size=6)


@pytest.mark.parametrize("value", [3, "3", 3.0])
def test_three_is_the_same_id_however_halo_writes_it(value: Any):
    assert record_key({"id": value}, ("id",)) == "3"


def test_a_guid_is_an_id_as_it_stands():
    assert record_key({"id": "7E1C-aa"}, ("id",)) == "7E1C-aa"


def test_an_id_with_a_fraction_is_not_cut():
    assert record_key({"id": 3.5}, ("id",)) == "3.5"


def test_several_members_make_one_identity():
    assert record_key({"ticket_id": 12.0, "id": "4"}, ("ticket_id", "id")) == "12/4"


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": True}, {"id": {"id": 3}}, {"id": [3]}])
def test_a_record_without_an_id_has_no_identity(row: dict[str, Any]):
    assert record_key(row, ("id",)) is None


def test_one_missing_member_of_several_is_no_identity():
    assert record_key({"id": 4}, ("ticket_id", "id")) is None


@given(st.tuples(st.integers(0, 2**31), st.integers(0, 2**31)))
def test_identity_gives_back_the_numbers_of_a_composite_key(numbers: tuple[int, int]):
    row = dict(zip(("ticket_id", "id"), numbers, strict=True))
    key = record_key(row, ("ticket_id", "id"))
    assert key is not None
    assert identity(key, ("ticket_id", "id")) == row


@given(st.text(min_size=1))
def test_identity_gives_back_whatever_has_the_same_key(text: str):
    assert record_key(identity(text, ("id",)), ("id",)) == text


def test_a_slash_in_the_last_member_stays_there():
    assert identity("12/a/b", ("ticket_id", "id")) == {"ticket_id": 12, "id": "a/b"}


def test_leading_zeros_are_no_number():
    assert identity("007", ("id",)) == {"id": "007"}


@given(RECORDS, st.randoms())
def test_the_order_of_members_does_not_count_as_content(row: dict[str, Any], random: Any):
    members = list(row.items())
    random.shuffle(members)
    assert content_hash(dict(members)) == content_hash(row)


@given(RECORDS, JSON)
def test_control_members_do_not_count_at_any_depth(row: dict[str, Any], noise: Any):
    def noisy(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: noisy(member) for name, member in value.items()} | {"_canupdate": noise}
        return [noisy(item) for item in value] if isinstance(value, list) else value

    def quiet(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: quiet(member) for name, member in value.items() if not name.startswith("_")}
        return [quiet(item) for item in value] if isinstance(value, list) else value

    assert content_hash(noisy(row)) == content_hash(quiet(row))


@given(st.sampled_from(sorted(VOLATILE)), JSON)
def test_members_that_follow_the_clock_or_the_reader_do_not_count(name: str, value: Any):
    assert content_hash({"id": 1, name: value}) == content_hash({"id": 1})


def test_members_that_the_route_ignores_do_not_count_and_others_still_do():
    ignore = frozenset({"viewed"})
    assert content_hash({"id": 1, "viewed": 1}, ignore) == content_hash({"id": 1, "viewed": 2}, ignore)
    assert content_hash({"id": 1, "read": 1}, ignore) == content_hash({"id": 1}, ignore)
    assert content_hash({"id": 1, "viewed": 1}) != content_hash({"id": 1, "viewed": 2})


@given(RECORDS, st.text(min_size=1, max_size=8).filter(lambda name: not name.startswith("_") and name not in VOLATILE), st.integers())
def test_any_other_member_counts(row: dict[str, Any], name: str, value: int):
    value %= 2**53
    assert content_hash(row | {name: value}) != content_hash(row | {name: value + 1})


def test_a_text_that_looks_like_a_control_member_is_content():
    assert content_hash({"note": '"_x'}) != content_hash({"note": '"_y'})


def test_a_hash_is_sixteen_hexadecimal_digits():
    assert len(bytes.fromhex(content_hash(json.loads('{"id": 1}')))) == 8


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-10-03T06:24:10.967", datetime(2026, 10, 3, 6, 24, 10, 967000, UTC)),
        ("2026-10-03T06:24:10", datetime(2026, 10, 3, 6, 24, 10, 0, UTC)),
        ("2023-06-29T10:16:08.8378294Z", datetime(2023, 6, 29, 10, 16, 8, 837829, UTC)),
        ("2023-06-29T10:16:08Z", datetime(2023, 6, 29, 10, 16, 8, 0, UTC)),
        ("2023-06-29T12:16:08+02:00", datetime(2023, 6, 29, 10, 16, 8, 0, UTC)),
    ],
)
def test_dates_are_read_as_halo_writes_them_and_are_utc_without_a_zone(text: str, moment: datetime):
    assert parse_stamp(text) == moment


@pytest.mark.parametrize("value", ["1900-01-01T00:00:00", "1899-12-30T00:00:00Z", "1980-12-31T23:59:59"])
def test_a_date_long_ago_is_not_set(value: str):
    assert parse_stamp(value) is None


@every("value", ["", "soon", None, 20261003, 1.5, True, {}, [], "2026-13-45T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-01:00"])
def test_what_is_no_date_is_none(value: Any):
    assert parse_stamp(value) is None


@given(JSON)
def test_no_value_makes_reading_a_date_fail(value: Any):
    assert parse_stamp(value) is None or isinstance(value, str)


@given(st.text(alphabet="0123456789-:TZ+. ", max_size=30))
def test_no_text_makes_reading_a_date_fail(text: str):
    stamp = parse_stamp(text)
    assert stamp is None or stamp.utcoffset() == timedelta()


def test_the_stamp_of_an_update_has_many_names_and_unset_ones_are_passed_over():
    assert updated_at({"lastupdate": "1900-01-01T00:00:00", "last_update": "2026-01-02T00:00:00"}) == datetime(2026, 1, 2, tzinfo=UTC)
    assert updated_at({"id": 1}) is None


def test_creation_stamps_are_others_than_update_stamps():
    row = {"dateoccurred": "2026-01-01T00:00:00", "lastupdate": "2026-01-02T00:00:00"}
    assert (created_at(row), updated_at(row)) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(timezone(timedelta(hours=5)))))  # noqa: DTZ001 - hypothesis adds the zone
def test_a_moment_written_for_a_filter_is_the_same_moment(moment: datetime):
    written = halo_time(moment)
    assert written.endswith("Z")
    assert parse_stamp(written) == moment
