"""Reads JSON bodies from every source: it decompresses them, honours their charset, and names the cause of a failure."""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Iterator
from encodings import normalize_encoding
from encodings.aliases import aliases
from functools import lru_cache
from typing import Any, Final

from worker.core.errors import Oversized, Undecodable
from worker.core.json_codec import LARGEST, MAX_DEPTH, MAX_VALUES, decode, marks_in
from worker.core.json_text import BOM
from worker.core.media_types import CHARSET
from worker.core.message import Message

LARGE: Final = 256 * 1024
"""Bytes: a larger body is processed in a thread. A body of this size takes some milliseconds."""
CHUNK: Final = 64 * 1024
DECOMPRESSED_CHUNK: Final = 256 * 1024
GZIP_START: Final = b"\x1f\x8b"
GZIP, ZLIB, RAW_DEFLATE = 31, 15, -15  # zlib's `wbits`
GZIP_NAMES: Final = frozenset(("gzip", "x-gzip"))
PLAIN: Final = frozenset(("", "identity", "7bit", "8bit", "binary"))  # the names from MIME mean no change either
MAX_MEMBERS: Final = 1000  # of one gzip body: each member costs time, even an empty one
READ_CHARSETS: Final = re.compile(
    r"ascii|utf_(8|16|32)(_sig|_le|_be)?|latin_1|iso8859_\d{1,2}|cp(125\d|437|850|852|858|866|932|949)|koi8_[ru]|shift_jis|euc_(jp|kr)|gb2312|gbk|gb18030|big5"
)
"""The names of Python's codec modules that are read."""
MARKED: Final = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
NAME: Final = re.compile(r"[\w.+-]{1,40}")


def is_small(message: Message) -> bool:
    """Whether a body is read in the event loop. A compressed body is not: it may decompress to a large one."""
    return len(message.body) <= LARGE and not message.content_encoding


def read_message(message: Message, limit: int = LARGEST) -> Any:
    """The JSON value of a message's body. Raises `Undecodable`, `Oversized`."""
    return read_json(message.body, message.content_type or "", message.content_encoding or "", limit)


def read_json(body: bytes, content_type: str = "", content_encoding: str = "", limit: int = LARGEST, max_values: int = MAX_VALUES) -> Any:
    """The JSON value of a body. `limit`: bytes, compressed and decompressed. Raises `Undecodable`, `Oversized`; their text quotes nothing of the body."""
    text = to_utf8(decompressed(body, content_encoding, limit), content_type, content_encoding)
    try:
        return decode(text, limit, MAX_DEPTH, max_values)
    except Oversized:
        raise
    except Undecodable as error:
        raise Undecodable(cause_of(text) or str(error)) from None


def cause_of(text: bytes) -> str:
    """Why a body is not JSON, if its first bytes or its characters show that; otherwise empty."""
    if text.startswith(GZIP_START):
        return "the body is compressed with gzip, but its content encoding does not say so: set it to `gzip`"
    if not is_utf8(text):
        return "the body is not UTF-8 text: send it as UTF-8, or name its charset in the content type"
    return ""


def is_utf8(text: bytes) -> bool:
    try:
        codecs.utf_8_decode(text, "surrogatepass", True)
    except UnicodeDecodeError:
        return False
    return True


@lru_cache(maxsize=32)
def compression_of(content_encoding: str) -> str:
    """The compression in a content encoding; empty for none. Raises `Undecodable` for more than one."""
    names = [name.strip().lower() for name in content_encoding.split(",")]
    compressions = [name for name in names if name not in PLAIN and not is_charset(name)]
    if len(compressions) > 1:
        raise Undecodable("the body is compressed more than once: compress it once, with gzip or deflate")
    return compressions[0] if compressions else ""


def is_charset(name: str) -> bool:
    """Whether a content encoding is a charset, as some producers write it."""
    return bool(codec_of(name))


def codec_of(name: str) -> str:
    """The Python name of a charset; empty for a charset that is not read.

    It looks up only module names in Python: Python keeps every other name in memory for ever, and senders can write any number of names.
    """
    spelt = normalize_encoding(name.lower())
    module = aliases.get(spelt) or aliases.get(spelt.replace(".", "_")) or spelt
    if READ_CHARSETS.fullmatch(module) is None:
        return ""
    try:
        return codecs.lookup(module).name
    except LookupError:
        return ""


def decompressed(body: bytes, content_encoding: str, limit: int = LARGEST) -> bytes:
    """The body without its compression. Raises `Oversized`; `Undecodable` for an unsupported compression or a body that does not have it.

    It counts the size first, with the memory of one piece: a body that decompresses beyond the limit takes no more memory.
    """
    if not (compression := compression_of(content_encoding)):
        return body
    for _ in pieces(body, compression, limit):
        pass
    return b"".join(pieces(body, compression, limit))


def measure(body: bytes, content_encoding: str, limit: int = LARGEST) -> tuple[int, int]:
    """About how many bytes and values a compressed body has once decompressed, counted without holding it. Raises `Undecodable`, `Oversized`."""
    size = values = 0
    for piece in pieces(body, compression_of(content_encoding), limit):
        size, values = size + len(piece), values + marks_in(piece)
    return size, values


class Decompressor:
    """Unpacks the parts of one compressed body as they come. Its methods raise `Undecodable`, and `Oversized` beyond `limit` bytes of content."""

    def __init__(self, compression: str, limit: int) -> None:
        self._compression = compression
        self._limit = limit
        self._size = 0
        self._held = b""
        self._member: zlib._Decompress | None = None
        self._members = 0
        if compression not in GZIP_NAMES and compression != "deflate":
            told = compression if NAME.fullmatch(compression) else "something unknown"
            raise Undecodable(f"the body is compressed with {told}, which is not read: compress with gzip or deflate, or not at all")

    def feed(self, part: bytes) -> Iterator[bytes]:
        """The content of the next part, piece by piece."""
        part, self._held = self._held + part, b""
        while part:
            if (member := self._member or self._next_member(part)) is None:
                self._held = part
                return
            self._member = member
            for piece in member_pieces(member, part):
                self._size += len(piece)
                if self._size > self._limit:
                    raise Oversized(f"the body has more than {self._limit:,} bytes when it is unpacked; at most {self._limit:,} are read")
                yield piece
            part = member.unused_data
            if member.eof:
                self._member = None

    def _next_member(self, part: bytes) -> zlib._Decompress | None:
        """The decompressor for the start of the body or of a further gzip member; None when it needs more bytes to choose one."""
        gzipped = self._compression in GZIP_NAMES
        if self._members and not (gzipped and GZIP_START.startswith(part[:2])):
            raise Undecodable(f"more bytes follow the end of the body's {self._compression} compression")
        if len(part) < len(GZIP_START):
            return None
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise Oversized(f"the body is compressed in more than {MAX_MEMBERS:,} parts; at most {MAX_MEMBERS:,} are read")
        return zlib.decompressobj(GZIP if gzipped else deflate_kind(part))

    def finish(self) -> None:
        """Raise `Undecodable` if the last part was not the end of the body."""
        if self._member is not None or self._held:
            raise Undecodable(f"the body is cut: its {self._compression} compression has no end")


def member_pieces(member: zlib._Decompress, compressed: bytes) -> Iterator[bytes]:
    """The content of the next compressed bytes. Raises `Undecodable`."""
    piece = b""
    while compressed or len(piece) == DECOMPRESSED_CHUNK:  # a full piece may leave more inside
        try:
            piece = member.decompress(compressed, DECOMPRESSED_CHUNK)
        except zlib.error:
            raise Undecodable("the body is not compressed as its content encoding says, or it is damaged") from None
        yield piece
        compressed = member.unconsumed_tail


def pieces(body: bytes, compression: str, limit: int) -> Iterator[bytes]:
    """The content of a whole compressed body, piece by piece. Raises `Undecodable`, `Oversized`."""
    decompressor = Decompressor(compression, limit)
    for start in range(0, len(body), CHUNK):
        yield from decompressor.feed(body[start : start + CHUNK])
    decompressor.finish()


def deflate_kind(body: bytes) -> int:
    """The `wbits` of a deflate body. HTTP's deflate is zlib's format; some senders omit its first two bytes."""
    wrapped = len(body) > 1 and body[0] & 0x0F == zlib.DEFLATED and int.from_bytes(body[:2]) % 31 == 0
    return ZLIB if wrapped else RAW_DEFLATE


def to_utf8(body: bytes, content_type: str, content_encoding: str = "") -> bytes:
    """The text in UTF-8 without a byte order mark. A mark of UTF-16 or UTF-32 overrides the named charset. Raises `Undecodable`."""
    if body.startswith(BOM):
        return body[len(BOM) :]
    charset = next((name for mark, name in MARKED if body.startswith(mark)), None) or charset_of(body, content_type, content_encoding)
    if charset == "utf-8":
        return body
    errors = "surrogatepass" if charset.startswith("utf-") else "strict"
    try:
        if len(body) <= CHUNK:
            return body.decode(charset, errors).encode("utf-8", "surrogatepass")
        return b"".join(recoded(body, codecs.getincrementaldecoder(charset)(errors)))
    except UnicodeDecodeError:
        raise Undecodable(f"the body is not text in {charset}, which its content type names") from None


def recoded(body: bytes, decoder: codecs.IncrementalDecoder) -> Iterator[bytes]:
    """The body in UTF-8, piece by piece. Other threads run between two pieces, and no copy of the whole body takes four bytes a character."""
    for start in range(0, len(body), CHUNK):
        yield decoder.decode(body[start : start + CHUNK], start + CHUNK >= len(body)).encode("utf-8", "surrogatepass")


def charset_of(body: bytes, content_type: str, content_encoding: str) -> str:
    """The Python name of the charset. Without a named charset, zeros among the first four bytes show it. Raises `Undecodable`."""
    named = named_charset(content_type, content_encoding)
    if named in {"", "utf-16", "utf-32"}:  # without a mark the zeros show the byte order
        return json.detect_encoding(body[:4]) if 0 in body[:4] else named or "utf-8"
    return named


@lru_cache(maxsize=32)
def named_charset(content_type: str, content_encoding: str) -> str:
    """The Python name of the charset in the content type or the content encoding; empty for none. Raises `Undecodable`."""
    named = CHARSET.search(content_type)
    name = named[1] if named else next((each.strip() for each in content_encoding.split(",") if is_charset(each.strip())), "")
    if not name:
        return ""
    if not (found := codec_of(name)):
        raise Undecodable(f"the content type names the charset {name if NAME.fullmatch(name) else 'of an unknown kind'}, which is not read: send UTF-8")
    return "utf-8" if found in {"utf-8", "utf-8-sig", "ascii"} else found
