"""Numbers of any size are read and written digit for digit, or refused; a float without a fraction is written as an integer."""

from __future__ import annotations

import json
from decimal import Decimal

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.tools.every import every
from tests.tools.json_documents import DOCUMENTS, NUMBERS, is_too_large, same, value_of
from worker.core.errors import Undecodable
from worker.core.exact_numbers import INNER_LONG_NUMBER, LONG_NUMBER, LOOKS, PIECE, digest_text, has_long_number
from worker.core.json_codec import decode, encode


@given(DOCUMENTS)
@example('{"a":1e-400,"b":[33.333333333333333333333333333]}')
def test_a_document_is_written_as_it_was_read_or_refused(text: str):
    body = text.encode("utf-8", "surrogatepass")
    if is_too_large(value_of(text)):
        with pytest.raises(Undecodable, match="a number beyond 1e308 at line 1, column"):
            decode(body)
    else:
        assert same(value_of(encode(decode(body))), value_of(text))


@given(NUMBERS)
def test_what_a_double_holds_stays_a_plain_number(text: str):
    number = Decimal(text)
    if abs(number) < 10**300 and Decimal(repr(float(text))) == number:
        assert type(decode(text.encode())) in ({int, float} if abs(number) < 2**63 else {int, float, Decimal})


@every(
    ("sent", "written"),
    [
        ("9007199254740993", "9007199254740993"),
        ("8944501234567890123", "8944501234567890123"),
        ("89445012345678901234", "89445012345678901234"),
        ("-18446744073709551617", "-18446744073709551617"),
        ("12.0", "12"),
        ("-0.0", "0"),
        ("1e2", "100"),
        ("8944501234567890000.0", "8944501234567890000"),
        ("9007199254740993.0", "9007199254740993"),
        ("1e20", "100000000000000000000"),
        ("1e300", "1e300"),
        ("0.1", "0.1"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
    ],
)
def test_a_number_is_written_with_its_digits_at_any_depth(sent: str, written: str):
    for before, after in (("", ""), ("[", "]"), ('{"a":[{"b":', "}]}")):
        assert encode(decode(f"{before}{sent}{after}".encode())).decode().replace("e+", "e") == f"{before}{written}{after}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":\n1e400}', r"^the body has a number beyond 1e308 at line 2, column 1: send it as text$"),
        (b"0." + b"1" * 2000, r"^the body has a number of 2,002 characters; at most 1,000 are read$"),
        (b"1e-99999999999999999999", r"^the body has a number whose exponent is too large to be read$"),
    ],
)
def test_a_number_that_cannot_be_kept_is_refused_with_the_cause(text: bytes, reason: str):
    with pytest.raises(Undecodable, match=reason):
        decode(text)


def test_a_long_number_is_found_across_the_pieces_of_the_search():
    for at in range(PIECE - 40, PIECE + 4):
        assert has_long_number(b'["' + b"x" * at + b'",12345678901234567]')


PARTS = (
    b"1234567890123456",
    b"0.5e-300",
    b"1e-3",
    b"805e-4378",
    b"123456789012345e-123",
    b",",
    b":",
    b"[",
    b" ",
    b"-",
    b'"',
    b"a",
    b"12",
    b".",
    b"E-123",
    b"9",
)


@given(st.lists(st.sampled_from(PARTS), max_size=9).map(b"".join), st.sampled_from([1, 2 * LOOKS]))
@example(b"[123456789012345e-123]", 1)
def test_looking_at_marks_alone_finds_a_long_number_wherever_the_pattern_finds_one(text: bytes, times: int):
    whole = text * times
    assert has_long_number(whole) == any((LONG_NUMBER.match(whole), INNER_LONG_NUMBER.search(whole)))


@pytest.mark.parametrize("text", [b'{"id":"1234567890123456789"}', b'"4111-1111111111111111x"', b'"3f2504e0-41d3-9a0c-8e-4123"', b"[123456789012345,1.5]"])
def test_digits_inside_texts_and_short_numbers_do_not_cost_a_second_reading(text: bytes):
    assert not has_long_number(text)


def test_hashes_of_ordinary_records_are_those_of_earlier_versions():
    record = {"b": 1.0, "a": [12.5, "x", None, 2**60]}
    assert digest_text(record) == orjson.dumps(record, option=orjson.OPT_SORT_KEYS)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (rb'"cut \ud83d"', "cut \ufffd"),
        (rb'"\udc00\ud83d\ude00\ud83d"', "\ufffd\U0001f600\ufffd"),
        (rb'"\\ud83d \\\ud83d"', "\\ud83d \\\ufffd"),
        (rb'{"\uD83D":1}', {"\ufffd": 1}),
        (b'"\xed\xa0\xbd"', "\ufffd"),
        (b'"\xed\xa0\xbd\xed\xb8\x80"', "\U0001f600"),
    ],
)
def test_half_of_a_surrogate_pair_is_read_as_the_replacement_character(sent: bytes, read: object):
    assert decode(sent) == read


def test_a_byte_order_mark_is_no_content():
    assert decode(b"\xef\xbb\xbf" + json.dumps({"serial": "B1"}).encode()) == {"serial": "B1"}


def test_a_text_has_a_limited_number_of_exact_numbers_since_the_event_loop_waits_for_them():
    one = b"0.12345678901234567891"
    assert len(decode(b"[" + b",".join([one] * 50_000) + b"]")) == 50_000
    with pytest.raises(Undecodable, match=r"more than 50,000 numbers .* send them as text"):
        decode(b"[" + b",".join([one] * 50_001) + b"]")


def test_numbers_that_a_double_holds_do_not_count_however_many():
    assert len(decode(b"[0.12345678901234567891" + b",33.333333333333336,1.5,7" * 20_000 + b"]")) == 60_001
