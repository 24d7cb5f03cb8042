"""Compressed JSON inside a run's message: a step that only carries a value on neither writes nor reads it again."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from functools import lru_cache, partial
from typing import Any

from worker.core.errors import Undecodable
from worker.core.json_codec import MAX_BYTES, MAX_DEPTH, decode, encode, estimate_body_memory
from worker.threads import in_thread_if_large

FASTEST_LEVEL = 1  # the level of zlib
MAX_VALUE_DEPTH = MAX_DEPTH + 4
CACHED_TEXTS = 4  # texts whose values are kept: the texts of the iterations that are under way
MAX_CACHED_LENGTH = 1024 * 1024  # characters
MAX_CACHED_WEIGHT = 16 * 1024 * 1024  # bytes as values: the memory limit does not count kept values, and some kB of text can decompress to 100 MB


class Uncached(Exception):
    """Carries a value that is too heavy to be kept: an exception is not cached."""

    def __init__(self, value: Any) -> None:
        super().__init__("too heavy")
        self.value = value


def compress(value: Any) -> str:
    """Return the compressed text. Raises `Undecodable` for a value that is not JSON."""
    return compress_and_weigh(value)[0]


def compress_and_weigh(value: Any) -> tuple[str, int]:
    """Return the compressed text, and the bytes of memory of its value. Raises `Undecodable`."""
    return _compress(encode(value))


async def compress_and_weigh_in_thread(value: Any) -> tuple[str, int]:
    """As `compress_and_weigh`; a large value is compressed in a thread: to compress 16 MiB takes half a second."""
    body = encode(value)
    return await in_thread_if_large(len(body), partial(_compress, body))


def _compress(body: bytes) -> tuple[str, int]:
    return b64encode(zlib.compress(body, FASTEST_LEVEL)).decode(), estimate_body_memory(body)


def decompress(text: str) -> Any:
    """Return the value of a compressed text. Callers must not change it: other callers get the same value. Raises `Undecodable`."""
    if len(text) > MAX_CACHED_LENGTH:
        return decode(_decompress(text), max_depth=MAX_VALUE_DEPTH)
    try:
        return _cached(text)
    except Uncached as heavy:
        return heavy.value


def _decompress(text: str) -> bytes:
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
    body = _decompress(text)
    value = decode(body, max_depth=MAX_VALUE_DEPTH)
    if estimate_body_memory(body) > MAX_CACHED_WEIGHT:
        raise Uncached(value)
    return value
