"""One reader of bodies: compression, charset and byte order mark, and the cause where a body cannot be read."""

from __future__ import annotations

import codecs
import encodings
import gzip
import tracemalloc
import zlib
from contextlib import suppress
from encodings.aliases import aliases

import pytest

from tests.tools.bombs import bomb
from tests.tools.every import every
from worker.core.bodies import READ_CHARSETS, codec_of, decompressed, measure, read_json, read_message
from worker.core.errors import Oversized, Undecodable
from worker.core.message import Message

TEXT = '{"city":"Zürich €"}'
BODY, READ = TEXT.encode(), {"city": "Zürich €"}
MIB = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@every(
    ("body", "content_type", "content_encoding"),
    [
        (BODY, "application/json", ""),
        (BODY, 'application/json; charset="UTF-8"', ""),
        (BODY, "application/json", "utf-8"),
        (b"\xef\xbb\xbf" + BODY, "application/json", ""),
        (gzip.compress(BODY, mtime=0), "application/json", "gzip"),
        (gzip.compress(BODY, mtime=0), "", "GZIP"),
        (gzip.compress(BODY[:5], mtime=0) + gzip.compress(BODY[5:], mtime=0), "", "x-gzip"),
        (gzip.compress(b"\xef\xbb\xbf" + BODY, mtime=0), "", "gzip"),
        (zlib.compress(BODY), "application/json", "deflate"),
        (raw_deflate(BODY), "application/json", "deflate"),
        (TEXT.encode("utf-16"), "application/json", ""),
        (TEXT.encode("utf-16-le"), "application/json", ""),
        (TEXT.encode("utf-16-be"), "application/json; charset=utf-16be", ""),
        (TEXT.encode("utf-16-be"), "application/json; charset=utf-16", ""),
        (TEXT.encode("utf-32-be"), "application/json; charset=utf-32", ""),
        (TEXT.encode("utf-32"), "application/json", ""),
        (BODY, "application/json", "binary"),
        (BODY, "application/json", "8bit"),
        (TEXT.encode("cp1252"), "application/json; charset=windows-1252", ""),
        (gzip.compress(TEXT.encode("iso8859-15"), mtime=0), "text/json; Charset=ISO-8859-15", "gzip"),
        (TEXT.encode("iso8859-15"), "application/json", "iso-8859-15"),
    ],
)
def test_a_body_is_read_whatever_it_is_packed_in(body: bytes, content_type: str, content_encoding: str):
    assert read_json(body, content_type, content_encoding) == READ
    assert read_message(Message(body, content_type=content_type, content_encoding=content_encoding)) == READ


@every(
    ("body", "content_type", "content_encoding", "reason"),
    [
        (BODY, "", "br", "the body is compressed with br, which is not read: compress with gzip or deflate, or not at all"),
        (BODY, "", "x y/z", "the body is compressed with something unknown, which is not read: compress with gzip or deflate, or not at all"),
        (BODY, "", "gzip, deflate", "the body is compressed more than once: compress it once, with gzip or deflate"),
        (BODY, "", "gzip", "the body is not compressed as its content encoding says, or it is damaged"),
        (gzip.compress(BODY, mtime=0)[:-4], "", "gzip", "the body is cut: its gzip compression has no end"),
        (gzip.compress(BODY, mtime=0) + b"xx", "", "gzip", "more bytes follow the end of the body's gzip compression"),
        (zlib.compress(BODY) + b"x", "", "deflate", "more bytes follow the end of the body's deflate compression"),
        (gzip.compress(BODY, mtime=0), "", "", "the body is compressed with gzip, but its content encoding does not say so: set it to `gzip`"),
        ('"ü"'.encode("latin-1"), "application/json", "", "the body is not UTF-8 text: send it as UTF-8, or name its charset in the content type"),
        (BODY, "a/b; charset=klingon", "", "the content type names the charset klingon, which is not read: send UTF-8"),
        (BODY, "a/b; charset=idna", "", "the content type names the charset idna, which is not read: send UTF-8"),
        (b'"\x81"', "a/b; charset=cp1252", "", "the body is not text in cp1252, which its content type names"),
        (b"{", "", "", "the body is not JSON: unexpected end of data at line 1, column 2"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_cause(body: bytes, content_type: str, content_encoding: str, reason: str):
    with pytest.raises(Undecodable) as refused:
        read_json(body, content_type, content_encoding)
    assert str(refused.value) == reason


@pytest.mark.parametrize("kind", ["gzip", "zlib", "raw"])
def test_a_bomb_is_refused_by_its_unpacked_size_without_memory(kind):
    packed = bomb(b"0", 100, kind)
    encoding = "gzip" if kind == "gzip" else "deflate"
    tracemalloc.start()
    try:
        with pytest.raises(Oversized, match=r"^the body has more than 16,777,216 bytes when it is unpacked"):
            decompressed(packed, encoding, 16 * MIB)
        with pytest.raises(Oversized):
            measure(packed, encoding, 16 * MIB)
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()


def test_a_body_of_many_empty_parts_is_refused_before_it_costs_time():
    packed = gzip.compress(b"", mtime=0) * 100_000 + gzip.compress(BODY, mtime=0)
    with pytest.raises(Oversized, match=r"^the body is compressed in more than 1,000 parts; at most 1,000 are read$"):
        read_json(packed, "", "gzip")
    parts = b"".join(gzip.compress(BODY[at : at + 1], mtime=0) for at in range(len(BODY)))
    assert read_json(gzip.compress(b"", mtime=0) * 900 + parts, "", "gzip") == READ


def test_the_size_and_the_values_of_a_compressed_body_are_told_before_it_is_unpacked():
    text = b"[" + b",".join([b'{"a":1}'] * 100_000) + b"]"
    assert measure(gzip.compress(text), "gzip") == (len(text), 300_000)
    assert decompressed(gzip.compress(text), "gzip", len(text)) == text


@pytest.mark.parametrize("spelt", ["charset of mine {}", "utf-{}8", "iso8859-{}", "UTF{}8"])
def test_names_of_charsets_leave_nothing_behind_in_memory(spelt):
    def kept() -> int:
        return len(encodings._cache)

    for content_type, content_encoding in (("a/b; charset={}", ""), ("a/b", "{}")):
        before = kept()
        for number in range(200):
            name = spelt.format("-" * number if "8" in spelt else number + 100)
            with suppress(Undecodable):
                read_json(b"{}", content_type.format(name.replace(" ", "-")), content_encoding.format(name))
        assert kept() - before <= 2


def test_every_name_of_a_charset_that_python_knows_is_read_as_python_reads_it():
    read = [alias for alias, module in aliases.items() if READ_CHARSETS.fullmatch(module)]
    assert len(read) > 100
    for alias in read:
        assert codec_of(alias) == codec_of(alias.upper().replace("_", "-")) == codecs.lookup(alias).name
    assert {codec_of(name) for name in ("iso8859-17", "iso8859_99", "idna", "unicode_escape", "rot13", "zlib", "\0", "\ud800", "")} == {""}
