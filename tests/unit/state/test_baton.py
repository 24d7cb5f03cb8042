"""The baton: bytes there and back, whatever is in it, and whatever else lies on its queue."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.state.baton import KINDS, KNOWN_KINDS, LATER, VERSION, Baton, BatonUnreadable, KnownRef, highest

NUMBERS = st.integers(0, 2**53)
SECONDS = st.floats(0, 1e11, allow_nan=False)
BATONS = st.builds(
    Baton,
    epoch=NUMBERS,
    generation=NUMBERS,
    cursor=st.none() | st.datetimes(datetime(1990, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    learnt=st.booleans(),
    polls=NUMBERS,
    polled=SECONDS,
    due=SECONDS,
    full_due=SECONDS,
    scan=st.none() | st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | NUMBERS | st.text(max_size=5)),
    known=st.builds(KnownRef, st.none() | st.text(max_size=32), NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    again=st.none() | st.datetimes(datetime(1990, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    failures=NUMBERS,
    key=st.lists(st.text(max_size=5), max_size=3).map(tuple),
)


@given(BATONS)
def test_a_baton_survives_being_written_and_read(baton: Baton):
    assert Baton.decode(baton.encode()) == baton


@given(BATONS, st.dictionaries(st.text(min_size=1), st.integers(0, 9)))
def test_members_that_a_newer_worker_of_the_same_version_added_are_passed_over(baton: Baton, more: dict[str, int]):
    document = more | orjson.loads(baton.encode())
    assert Baton.decode(orjson.dumps(document)) == baton


@given(st.integers(VERSION + 1, 99))
def test_a_newer_version_is_said_to_be_newer_and_not_read(version: int):
    with pytest.raises(BatonUnreadable, match=f"version {version}") as caught:
        Baton.decode(orjson.dumps({"v": version}))
    assert caught.value.newer


@given(st.binary())
def test_garbage_is_unreadable_and_never_newer(body: bytes):
    with pytest.raises(BatonUnreadable) as caught:
        Baton.decode(body)
    assert not caught.value.newer


@every("body", [b"", b"[]", b"null", b'"v"', b"{}", b'{"v": "1"}', b'{"v": 1}', b'{"v": 1, "known": {}, "cursor": null}', b"\xff"])
def test_what_is_no_baton_is_unreadable(body: bytes):
    with pytest.raises(BatonUnreadable):
        Baton.decode(body)


@given(BATONS, st.sampled_from([item for item in orjson.loads(Baton().encode()) if item not in {"v", *LATER}]))
def test_a_baton_with_a_member_missing_is_unreadable(baton: Baton, name: str):
    document = orjson.loads(baton.encode())
    del document[name]
    with pytest.raises(BatonUnreadable):
        Baton.decode(orjson.dumps(document))


@every(
    "wrong",
    [
        {"due": "soon"},
        {"generation": None},
        {"epoch": 1.5},
        {"scan": []},
        {"known": []},
        {"cursor": 3},
        {"cursor": "never"},
        {"learnt": "yes"},
    ],
    ids=str,
)
def test_a_baton_with_a_member_of_another_kind_is_unreadable(wrong: dict[str, object]):
    with pytest.raises(BatonUnreadable):
        Baton.decode(orjson.dumps(orjson.loads(Baton().encode()) | wrong))


def test_a_kind_is_told_for_every_member():
    assert set(KINDS) | {"known", "cursor", *LATER} == {item.name for item in fields(Baton)}
    assert set(KNOWN_KINDS) == {item.name for item in fields(KnownRef)}


@given(st.lists(BATONS, min_size=1, max_size=6), st.randoms())
def test_of_several_batons_the_furthest_counts_in_whatever_order_they_lie(batons: list[Baton], random: object):
    random.shuffle(batons)  # type: ignore[attr-defined]
    chosen = highest(batons)
    assert all(chosen.rank >= baton.rank for baton in batons)


def test_an_operators_epoch_counts_more_than_any_number_of_turns():
    worked = Baton(epoch=1, generation=500)
    assert highest([worked, replace(worked, epoch=2, generation=0)]).epoch == 2


def test_a_turn_is_one_generation_further():
    assert Baton(generation=4).advanced(polls=2) == Baton(generation=5, polls=2)


def test_a_baton_of_the_first_version_of_the_worker_is_read():
    document = {name: value for name, value in orjson.loads(Baton(polls=3).encode()).items() if name != "again"}
    assert Baton.decode(orjson.dumps(document)) == Baton(polls=3)


NOW = 1_772_366_400.0
YEARS = 72 * 365 * 86_400.0


@every(
    "wrong",
    [
        {"cursor": datetime.fromtimestamp(NOW + YEARS, UTC)},
        {"again": datetime.fromtimestamp(NOW + YEARS, UTC)},
        {"epoch": int(NOW + YEARS)},
        {"polled": NOW + YEARS},
        {"due": NOW + YEARS},
        {"full_due": NOW + YEARS},
        {"generation": -1},
        {"generation": 2**60},
        {"polls": -1},
        {"known": KnownRef("x", offset=-5)},
    ],
    ids=str,
)
def test_a_baton_that_no_worker_can_have_written_says_why(wrong: dict[str, Any]):
    written = replace(Baton(epoch=int(NOW), generation=7, cursor=datetime.fromtimestamp(NOW, UTC), polled=NOW, due=NOW + 60), **wrong)
    assert next(iter(wrong)) in written.implausible(NOW) or "count" in written.implausible(NOW)


def test_a_baton_of_a_yearly_schedule_and_of_a_clock_that_is_a_day_ahead_is_believed():
    ahead = datetime.fromtimestamp(NOW + 86_400, UTC)
    assert Baton(epoch=int(NOW) + 1, cursor=ahead, again=ahead, polled=NOW + 60, due=NOW + 366 * 86_400.0, full_due=NOW + 1e6).implausible(NOW) == ""
    assert Baton().implausible(NOW) == ""
