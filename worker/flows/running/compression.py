"""Compressed JSON inside a run's message: a step that only carries a value on neither writes nor reads it again."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from functools import lru_cache, partial
from typing import Any

from worker.core.errors import Undecodable
from worker.core.json_codec import MAX_BYTES, MAX_DEPTH, decode, encode, weight_of
from worker.threads import in_thread_if_large

FASTEST = 1  # the level of zlib
DEEPER = MAX_DEPTH + 4
CACHED_TEXTS = 4  # texts whose values are kept: the texts of the iterations that are under way
MAX_CACHED_LENGTH = 1024 * 1024  # characters
MAX_CACHED_WEIGHT = 16 * 1024 * 1024  # bytes as values: the memory limit does not count kept values, and some kB of text can unpack to 100 MB


class Uncached(Exception):
    """Carries a value that is too heavy to be kept: an exception is not cached."""

    def __init__(self, value: Any) -> None:
        super().__init__("too heavy")
        self.value = value


def compressed(value: Any) -> str:
    """Return the packed text. Raises `Undecodable` for a value that is not JSON."""
    return with_weight(value)[0]


def with_weight(value: Any) -> tuple[str, int]:
    """Return the packed text, and the bytes of memory that it takes unpacked. Raises `Undecodable`."""
    return _pack(encode(value))


async def with_weight_in_thread(value: Any) -> tuple[str, int]:
    """As `with_weight`; a large value is packed in a thread: to compress 16 MiB takes half a second."""
    body = encode(value)
    return await in_thread_if_large(len(body), partial(_pack, body))


def _pack(body: bytes) -> tuple[str, int]:
    return b64encode(zlib.compress(body, FASTEST)).decode(), weight_of(body)


def decompressed(text: str) -> Any:
    """Return the value of a packed text. Callers must not change it: other callers get the same value. Raises `Undecodable`."""
    if len(text) > MAX_CACHED_LENGTH:
        return decode(_read(text), max_depth=DEEPER)
    try:
        return _cached(text)
    except Uncached as heavy:
        return heavy.value


def _read(text: str) -> bytes:
    reader = zlib.decompressobj()
    try:
        body = reader.decompress(b64decode(text, validate=True), MAX_BYTES)
    except (NotBase64, ValueError, zlib.error):
        raise Undecodable("a packed part of the run cannot be unpacked") from None
    if not reader.eof:
        raise Undecodable(f"a packed part of the run has more than {MAX_BYTES:,} bytes, or is cut")
    return body


@lru_cache(maxsize=CACHED_TEXTS)
def _cached(text: str) -> Any:
    body = _read(text)
    value = decode(body, max_depth=DEEPER)
    if weight_of(body) > MAX_CACHED_WEIGHT:
        raise Uncached(value)
    return value
