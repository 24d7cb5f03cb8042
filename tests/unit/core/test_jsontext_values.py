"""How many values a JSON text may make, and that prose is not counted as values."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.errors import Oversized
from worker.core.json_codec import MAX_VALUES, PIECE, count_outside_texts, count_values, decode

ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text('ab,:[{"\\\n€', max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text('ab,"\\', max_size=4), inner, max_size=5),
    max_leaves=30,
)


def marks(value):
    """Commas, colons and opening brackets of a value, by its structure."""
    if isinstance(value, dict):
        return 1 + max(0, len(value) - 1) + len(value) + sum(map(marks, value.values()))
    if isinstance(value, list):
        return 1 + max(0, len(value) - 1) + sum(map(marks, value))
    return 0


@given(ANY, st.integers(1, 7))
def test_the_exact_count_is_that_of_the_structure_wherever_the_text_is_cut(value, piece):
    body = orjson.dumps(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.core.json_codec.PIECE", piece)
        assert count_outside_texts(body, 10**9) == marks(value)


@given(ANY)
def test_an_estimate_is_never_below_the_exact_count(value):
    body = json.dumps(value).encode()
    assert count_values(body, 10**9) >= marks(value)


def test_a_text_with_as_many_values_as_allowed_is_read_and_one_more_is_not():
    assert len(decode(b"[" + b"1," * 9 + b"1]", max_values=10)) == 10
    with pytest.raises(Oversized, match="the body has more than 10 names and values; at most 10 are read"):
        decode(b"[" + b"1," * 10 + b"1]", max_values=10)


@pytest.mark.parametrize("element", [b"{}", b"[]", b'""', b"0", b'{"":0}'])
def test_small_values_in_great_number_are_refused_before_they_are_made(element):
    body = b"[" + b",".join([element] * (MAX_VALUES + 1)) + b"]"
    with pytest.raises(Oversized, match="1,000,000 names and values"):
        decode(body)


def test_prose_is_not_refused_for_its_commas():
    prose = ['one, two: [three] {four}, and a quote " and a backslash \\' * 20_000] * 3
    body = orjson.dumps(prose)
    assert body.count(b",") > 100_000
    assert decode(body, max_values=100_000) == prose


def test_a_text_that_ends_at_the_end_of_a_piece_within_an_escape_is_counted_right():
    body = b'["' + b"x" * (PIECE - 3) + b'\\",,,,"]'
    assert count_outside_texts(body, 10**9) == 1


def test_a_broken_text_is_still_refused_as_broken():
    with pytest.raises(Exception, match="not JSON"):
        decode(b'["' + b"," * 50, max_values=10)
