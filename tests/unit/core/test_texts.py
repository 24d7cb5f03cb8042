"""Durations, near names, and JSON at the door."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.core.durations import format_duration, parse_duration
from worker.core.errors import Undecodable
from worker.core.json_codec import MAX_DEPTH, decode, encode, too_deep
from worker.core.suggest import did_you_mean, nearest


@pytest.mark.parametrize(("text", "seconds"), [("500ms", 0.5), ("30s", 30), ("5m", 300), ("2h", 7200), ("1d", 86400), (" 30s ", 30), ("0s", 0)])
def test_durations_are_a_whole_number_and_a_unit(text: str, seconds: float):
    assert parse_duration(text) == seconds


@every("text", ["", "30", "s", "1.5s", "-1s", "30 s", "1h30m", "1w", "30S", "٣s x"])
def test_anything_else_is_refused_with_the_valid_forms(text: str):
    with pytest.raises(ValueError, match="such as 500ms, 30s, 5m, 2h or 1d"):
        parse_duration(text)


@given(st.integers(0, 10**12))
def test_a_written_duration_is_read_back_to_the_millisecond(milliseconds: int):
    assert round(parse_duration(format_duration(milliseconds / 1000)) * 1000) == milliseconds


@every(("seconds", "text"), [(10.0, "10s"), (60.0, "1m"), (90.0, "90s"), (600, "10m"), (3600, "1h"), (86400, "1d"), (0.25, "250ms"), (0, "0ms")])
def test_durations_in_queue_names_are_the_shortest_exact_ones(seconds: float, text: str):
    assert format_duration(seconds) == text


def test_the_nearest_names_come_first_and_case_does_not_count():
    assert nearest("ticktes", ["Users", "Tickets", "TicketType"])[0] == "Tickets"
    assert nearest("TICKETS", ["tickets"]) == ["tickets"]
    assert nearest("zzz", ["tickets"]) == []
    assert len(nearest("aa", ["aa1", "aa2", "aa3", "aa4"])) == 3


def test_a_suggestion_is_half_a_sentence_or_nothing():
    assert did_you_mean("pageinat", ["pageinate", "count"]) == "; did you mean pageinate?"
    assert did_you_mean("zzz", ["pageinate"]) == ""


def nested(depth: int, leaf: Any = 1) -> Any:
    for level in range(depth):
        leaf = [leaf] if level % 2 else {"a": leaf}
    return leaf


@given(st.integers(0, MAX_DEPTH + 6))
def test_exactly_the_depth_that_may_be_had_passes_the_door(depth: int):
    body = encode(nested(depth))
    if depth <= MAX_DEPTH:
        assert decode(body) == nested(depth)
    else:
        with pytest.raises(Undecodable, match="deeper than 64 levels"):
            decode(body)


@pytest.mark.parametrize("leaf", [[], {}, 1, "x", None])
def test_empty_arrays_and_objects_count_as_a_level(leaf: Any):
    assert too_deep(nested(3, leaf), 3) == isinstance(leaf, list | dict)


def test_a_wide_value_is_not_deep():
    assert not too_deep([[{"a": 1}] * 100] * 100)


def test_a_body_above_the_limit_is_refused_by_its_size():
    with pytest.raises(Undecodable, match="the body has 11 bytes; at most 10 are read"):
        decode(b"[1,2,3,4,5]", max_bytes=10)


@pytest.mark.parametrize("body", [b"", b"{", b"nan", b'{"a": NaN}', b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_undecodable(body: bytes):
    with pytest.raises(Undecodable):
        decode(body)


@given(st.binary(max_size=40))
def test_no_body_raises_anything_else(body: bytes):
    try:
        decode(body)
    except Undecodable as error:
        told = str(error)
    else:
        told = "the body is JSON"
    assert told.startswith("the body ")


def test_the_reason_does_not_quote_the_body():
    with pytest.raises(Undecodable) as caught:
        decode(b'{"password": "hunter2" oops')
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [object(), {1, 2}, {("a",): 1}, "\ud800"])
def test_what_json_cannot_hold_is_not_written(value: Any):
    with pytest.raises(Undecodable):
        encode(value)
