"""What AMQP carries and how anybody's properties are read: pure, without a broker."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta

import pamqp.decode
import pamqp.encode
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader

from tests.tools.every import every
from worker.broker.amqp_types import from_field, short, to_milliseconds, to_table
from worker.broker.memory.topics import matches
from worker.broker.rabbitmq.declare import adopt, different
from worker.broker.rabbitmq.lenient_decoding import UNREADABLE, read_leniently, short_text
from worker.core.errors import PublishRefused

MOMENTS = st.integers(31_536_000, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, tz=UTC))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=50)
    | st.binary(max_size=50)
    | MOMENTS
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc-_", max_size=10), inner, max_size=4), max_leaves=20)


def carried(headers: object) -> object:
    """Written to the wire and read from it."""
    table = to_table({"h": headers})
    return from_field(pamqp.decode.field_table(pamqp.encode.field_table(table))[1])["h"]


@given(VALUES)
def test_every_plain_value_comes_back_equal(value: object):
    assert carried(value) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_no_float_changes_its_value(value: float):
    found = carried(value)
    assert (float(found) if isinstance(found, str) else found) == value


def nested(depth: int, kind: str) -> object:
    """So many arrays or tables within each other."""
    value: object = True
    for _ in range(depth):
        value = [value] if kind == "arrays" else {"a": value}
    return value


@pytest.mark.parametrize("kind", ["arrays", "tables"])
def test_what_is_nested_too_deep_is_not_read(kind):
    read_leniently()
    for depth in (100, 101, 300, 100):
        read = pamqp.decode.METHODS["table"](pamqp.encode.field_table({"h": nested(depth, kind)}))[1]
        assert read == ({"h": nested(depth, kind)} if depth == 100 else {UNREADABLE: "values nested more than 100 levels deep"})


class Strange:
    def __str__(self) -> str:
        return "strange \ud800"


@every("value", [Strange(), {Strange(): Strange()}, math.nan, -math.inf, 2**200, timedelta(days=1), datetime.min.replace(tzinfo=UTC), {1, 2}, [[[[1]]]] * 3])
def test_nothing_is_too_strange_for_a_header(value: object):
    carried(value)


def test_what_is_nested_too_deep_becomes_text():
    value: object = 1
    for _ in range(500):
        value = [value]
    text = carried(value)
    for _ in range(32):
        text = text[0]
    assert isinstance(text, str)


def test_a_long_name_of_a_header_is_cut_between_characters():
    assert list(to_table({"ä" * 100: 1})) == ["ä" * 64]


@given(st.text(max_size=300))
def test_a_short_text_is_either_fit_or_refused(text: str):
    if len(text.encode(errors="replace")) > 255:
        with pytest.raises(PublishRefused, match=r"^the id has \d+ bytes; AMQP takes at most 255$"):
            short("id", text)
    else:
        pamqp.encode.short_string(short("id", text))


@pytest.mark.parametrize(("seconds", "milliseconds"), [(0, 0), (-1, 0), (0.0004, 0), (0.57, 570), (1.1, 1100), (1e9, 2**32 - 1), (math.inf, 2**32 - 1)])
def test_a_lifetime_is_what_rabbitmq_takes(seconds: float, milliseconds: int):
    assert to_milliseconds(seconds) == milliseconds


def properties_of(raw: bytes, flags: int) -> Basic.Properties:
    """A content header as it comes from the wire, with hand-made properties."""
    read_leniently()
    payload = struct.pack(">HHQH", 60, 0, 0, flags) + raw
    frame = struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce"
    header = unmarshal(frame)[2]
    assert isinstance(header, ContentHeader)
    return header.properties


@given(st.integers(0, 2**64 - 1))
def test_no_timestamp_stops_the_reading(seconds: int):
    moment = properties_of(struct.pack(">Q", seconds), 0x0040).timestamp
    assert moment is None or isinstance(moment, datetime)


@given(st.binary(max_size=255))
def test_no_text_stops_the_reading_and_what_is_read_can_be_written(raw: bytes):
    text = properties_of(struct.pack("B", len(raw)) + raw, 0x0080).message_id
    pamqp.encode.short_string(text)
    assert short("id", text) == text


@given(st.binary(max_size=100))
def test_no_header_table_stops_the_reading(raw: bytes):
    headers = properties_of(struct.pack(">I", len(raw)) + raw, 0x2000).headers
    assert isinstance(headers, dict)
    to_table(from_field(headers))


def test_a_name_that_is_not_utf_8_costs_no_other_header():
    inner = b"\x02g\xfct\x01" + b"\x01bI\x00\x00\x00\x07"
    table = b"\x01at\x01" + b"\x05gr\xfc\xdfeS\x00\x00\x00\x02hi" + b"\x01cF" + struct.pack(">I", len(inner)) + inner
    assert properties_of(struct.pack(">I", len(table)) + table, 0x2000).headers == {"a": True, "gr\ufffd\ufffde": "hi", "c": {"g\ufffd": True, "b": 7}}


@given(VALUES)
def test_a_table_is_read_as_it_was_written(value: object):
    table = to_table({"h": value, "grüße": [value]})
    written = pamqp.encode.field_table(table)
    assert properties_of(written, 0x2000).headers == pamqp.decode.field_table(written)[1]


@given(st.binary(max_size=60), st.integers(0, 70))
def test_no_cut_table_within_a_table_stops_the_reading(raw: bytes, length: int):
    inner = b"\x01aF" + struct.pack(">I", length) + raw
    for table in (inner, b"\x01aF" + raw[:3]):
        assert isinstance(properties_of(struct.pack(">I", len(table)) + table, 0x2000).headers, dict)


def test_an_unreadable_table_is_marked():
    assert properties_of(struct.pack(">I", 3) + b"\x01a?", 0x2000).headers == {UNREADABLE: True}


def test_a_deep_table_does_not_exhaust_the_stack():
    table = b""
    for _ in range(3000):
        table = b"\x01aF" + struct.pack(">I", len(table)) + table
    assert properties_of(struct.pack(">I", len(table)) + table, 0x2000).headers


def test_good_properties_are_read_as_before():
    read_leniently()
    sent = Basic.Properties(message_id="m", timestamp=datetime(2026, 1, 1, tzinfo=UTC), headers={"a": 1})
    header = unmarshal(marshal(ContentHeader(body_size=0, properties=sent), 1))[2]
    assert header.properties == sent
    assert short_text(b"\x02ab") == (3, "ab")


@given(st.lists(st.sampled_from(["a", "b", "*", "#", ""]), max_size=6), st.lists(st.sampled_from(["a", "b", ""]), max_size=6))
def test_topics_match_as_their_grammar_says(pattern: list[str], words: list[str]):
    def by_grammar(rest: list[str], key: list[str]) -> bool:
        if not rest:
            return not key
        if rest[0] == "#":
            return any(by_grammar(rest[1:], key[start:]) for start in range(len(key) + 1))
        return bool(key) and rest[0] in {"*", key[0]} and by_grammar(rest[1:], key[1:])

    pattern, words = pattern or [""], words or [""]
    assert matches(".".join(pattern), ".".join(words)) == by_grammar(pattern, words)


def test_a_nasty_topic_pattern_takes_no_time():
    assert not matches(".".join(["#", "a"] * 30), ".".join(["a"] * 60 + ["b"]))


def test_a_difference_that_cannot_be_parsed_is_still_told():
    found = different("queue", "q", "PRECONDITION_FAILED - something new")
    assert str(found) == "queue 'q' exists, and the broker says: PRECONDITION_FAILED - something new"
    assert not adopt("PRECONDITION_FAILED - something new", {}, {})


@pytest.mark.parametrize(
    ("current", "adopted"),
    [
        ("none", {}),
        ("the value '5' of type 'long'", {"x-a": 5}),
        ("the value 'a b' of type 'longstr'", {"x-a": "a b"}),
        ("the value '-1' of type 'signedint'", {"x-a": -1}),
    ],
)
def test_what_exists_is_adopted_to_learn_the_next_difference(current: str, adopted: dict[str, object]):
    arguments: dict[str, object] = {"x-a": 1}
    assert adopt(f"PRECONDITION_FAILED - inequivalent arg 'x-a' for queue 'q' in vhost '/': received 'x' but current is {current}", {}, arguments)
    assert arguments == adopted
