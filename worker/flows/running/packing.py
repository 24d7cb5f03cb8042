"""Compressed JSON inside a run's message: what each step only carries on is neither written nor read again."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from functools import lru_cache
from typing import Any

from worker.core.errors import Undecodable
from worker.core.json_codec import MAX_BYTES, MAX_DEPTH, decode, encode

FASTEST = 1  # the level of zlib
DEEPER = MAX_DEPTH + 4
KEPT = 4  # texts whose values are kept: those of the iterations that are under way
LONGEST_KEPT = 1024 * 1024  # characters: some 5 MB of JSON, 40 MB as values


def packed(value: Any) -> str:
    """Raises `Undecodable` for what is no JSON value."""
    return b64encode(zlib.compress(encode(value), FASTEST)).decode()


def unpacked(text: str) -> Any:
    """Callers may not change the value: others get it too. Raises `Undecodable`."""
    return _kept(text) if len(text) <= LONGEST_KEPT else _read(text)


def _read(text: str) -> Any:
    reader = zlib.decompressobj()
    try:
        body = reader.decompress(b64decode(text, validate=True), MAX_BYTES)
    except (NotBase64, ValueError, zlib.error):
        raise Undecodable("a packed part of the run cannot be unpacked") from None
    if not reader.eof:
        raise Undecodable(f"a packed part of the run has more than {MAX_BYTES:,} bytes, or is cut")
    return decode(body, max_depth=DEEPER)


@lru_cache(maxsize=KEPT)
def _kept(text: str) -> Any:
    return _read(text)
