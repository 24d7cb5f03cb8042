"""Large texts are read and written in short pieces, with the result of one call for all of it: a call of C is the longest time for which a thread holds the others up."""

from __future__ import annotations

import codecs
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from tests.unit.flows.routes import publisher
from worker.core import exact_numbers, json_codec, json_pieces, json_text, redaction
from worker.core.bodies import CHUNK, to_utf8
from worker.core.delivery_state import DeliveryState
from worker.core.errors import Undecodable
from worker.core.exact_numbers import MAX_EXACT, between_numbers, unfinished, with_integers, without_fractions
from worker.core.json_codec import encode
from worker.core.json_text import between_backslashes, between_characters, between_escapes, repaired
from worker.core.outcome import Done
from worker.core.redaction import is_secret_name
from worker.core.trace import IDS, LONGEST
from worker.flows.tracing import write_note
from worker.flows.writes.write_request import Write

HALVES = [rb"\\", rb"\"", rb"\n", rb"\ud83d", rb"\ude00", rb"\uDBFF", rb"\udc00", rb"\u00e9", b"u", b"d83d", b"a", b'","', "한€😀".encode()]
BYTES = [b"\xed\xa0\xbd", b"\xed\xb8\x80", b"\xed\x95\x9c", b"\xe2\x82\xac", b"\xf0\x9f\x98\x80", b"a", rb"\ud83d"]
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**21), 10**21).map(float) | st.sampled_from([-0.0, 1e16, 1e20, 1e21, 2.0**53, 0.05])
TEXTS = st.text('a.0,]e+16\\"-}', max_size=8)
DOCUMENTS = st.recursive(FLOATS | TEXTS | st.none(), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=30)
RECORDS = st.lists(st.dictionaries(st.sampled_from(["a", "},{", "[{", '"']), st.sampled_from([1, "},{", "[{", [{}, {}], {"a": {}}]), max_size=2), max_size=30)


@every("parts", [HALVES, BYTES])
def test_halves_are_mended_across_pieces_as_in_one(parts: list[bytes], monkeypatch: pytest.MonkeyPatch):
    @given(st.lists(st.sampled_from(parts), max_size=14))
    def mended(chosen: list[bytes]) -> None:
        text = b'"' + b"".join(chosen) + b'"'
        monkeypatch.setattr(json_text, "PIECE", 64 * 1024)
        whole = repaired(text)
        for size in (16, 17, 21):
            monkeypatch.setattr(json_text, "PIECE", size)
            assert repaired(text) == whole
        if whole is not None and repaired(whole) is None:
            assert whole.decode().encode("utf-16", "strict")

    mended()


@every("unit", [rb"\n", rb"\ud800", rb"\udc00", rb"\ud83d\ude00", rb"\\", b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xed\xa0\xbd\xed\xb8\x80", "한".encode()])
def test_no_text_makes_a_long_piece(unit: bytes):
    text = b'"' + unit * (300_000 // len(unit)) + b'"'
    for cut in (between_backslashes, between_escapes, between_characters):
        pieces = list(cut(text))
        assert b"".join(pieces) == text
        assert max(map(len, pieces)) <= json_text.PIECE + 8


@given(DOCUMENTS)
def test_whole_floats_are_written_as_integers_across_pieces(document: Any):
    for option in (None, orjson.OPT_INDENT_2):
        expected = orjson.dumps(with_integers(document), exact_numbers.fragment, option)
        assert without_fractions(unfinished(document, option)) == expected
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exact_numbers, "PIECE", 160)
            assert without_fractions(unfinished(document, option)) == expected


@every("document", lambda: [[1.0] * 200_000, {f"n{number}": 1.0 for number in range(90_000)}, ["x" * 900_000, 1.0], ["\\" * 900_000, 1.0]])
def test_what_is_written_is_cut_into_short_pieces(document: Any):
    pieces = list(between_numbers(unfinished(document)))
    assert len(pieces) > 2
    assert max(map(len, pieces)) <= exact_numbers.PIECE
    assert encode(document) == orjson.dumps(with_integers(document))


def test_more_large_floats_than_can_be_written_in_time_are_refused():
    assert encode([1e16] * MAX_EXACT).startswith(b"[10000000000000000,")
    with pytest.raises(Undecodable, match=r"^the value cannot be written as JSON: it has more than 50,000 numbers with an exponent; send them as text$"):
        encode([1e16] * (MAX_EXACT + 1))


@every("charset", ["shift_jis", "gb18030", "euc_kr", "euc_jp", "big5", "utf-16-le", "utf-32-be", "koi8_r"])
def test_a_charset_is_read_in_pieces_that_may_cut_a_character(charset: str):
    text = '"' + {"koi8_r": "привет", "euc_kr": "한국어", "big5": "漢字"}.get(charset, "漢a字") * 60_000 + '"'
    body = text.encode(charset)
    sizes: list[int] = []
    decoder_of = codecs.getincrementaldecoder(charset)

    class Counting(decoder_of):  # type: ignore[misc, valid-type]
        def decode(self, part: bytes, final: bool = False) -> str:
            sizes.append(len(part))
            return super().decode(part, final)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codecs, "getincrementaldecoder", lambda _: Counting)
        assert to_utf8(body, f"application/json; charset={charset}") == text.encode()
    assert max(sizes) <= CHUNK


def test_a_large_body_that_is_no_text_in_its_charset_is_refused():
    with pytest.raises(Undecodable, match=r"^the body is not text in euc_kr, which its content type names$"):
        to_utf8(b"a" * 2 * CHUNK + b"\xff", "application/json; charset=euc-kr")
    with pytest.raises(Undecodable):
        to_utf8("한".encode("euc_kr") * CHUNK + b"\xb0", "application/json; charset=euc-kr")


@given(RECORDS, st.sampled_from(["{}", '{{"count":3,"rows":{},"z":1}}', '{{"rows":{},"rows":[{{"a":1}}]}}', '{{"n":"[{{}},{{}}","rows":{}}}', "[{}]"]))
def test_a_list_is_read_in_pieces_as_in_one(records: list[Any], shape: str):
    text = shape.format(orjson.dumps(records).decode()).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_pieces, "PIECE", 5)
        assert json_pieces.loads(text) == orjson.loads(text)
        for broken in (text[:-1], text[: len(text) // 2] + text[len(text) // 2 + 1 :]):
            assert outcome_of(json_pieces.loads, broken) == outcome_of(orjson.loads, broken)


def outcome_of(read: Any, text: bytes) -> Any:
    try:
        return read(text)
    except orjson.JSONDecodeError as error:
        return str(error)


@every("shape", ["[{}]", '{{"record_count":9,"assets":[{}]}}'])
def test_no_call_reads_more_of_a_large_list_of_records_than_some_pieces(shape: str, monkeypatch: pytest.MonkeyPatch):
    records = [{"id": number, "notes": "},{" + "x" * 1000} for number in range(6000)]
    text = shape.format(orjson.dumps(records).decode()[1:-1]).encode()
    sizes: list[int] = []

    class Counting:
        dumps, JSONDecodeError = orjson.dumps, orjson.JSONDecodeError

        @staticmethod
        def loads(part: bytes) -> Any:
            sizes.append(len(part))
            return orjson.loads(part)

    monkeypatch.setattr(json_pieces, "orjson", Counting)
    assert json_codec.decode(text) == orjson.loads(text)
    assert max(sizes) <= 2 * json_pieces.PIECE + 100


def test_names_of_any_length_are_told_and_only_short_ones_are_kept():
    redaction.short_ends_secret.cache_clear()
    assert is_secret_name("x" * 1000 + "_password")
    assert not is_secret_name("password" + "x" * 1000)
    assert redaction.short_ends_secret.cache_info().currsize == 0
    assert is_secret_name("password")
    assert redaction.short_ends_secret.cache_info().currsize == 1


def test_the_note_of_a_write_of_many_records_holds_those_that_the_trace_names():
    write = Write({}, {}, [{"id": f"{number}{'x' * 1000}"} for number in range(1000)])
    note = write_note(publisher(), write, Done("sent", 200), DeliveryState("m1", "m1"))
    assert len(note.records) == IDS
    assert max(map(len, note.records)) == LONGEST
