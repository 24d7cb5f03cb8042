"""Bodies that unpack to far more than they are: of one piece, packed once and repeated, since to pack all of it takes seconds."""

from __future__ import annotations

import zlib
from typing import Literal

PIECE = 1024 * 1024  # bytes
WINDOW = {"gzip": 31, "zlib": 15, "raw": -15}
Format = Literal["gzip", "zlib", "raw"]


def bomb(byte: bytes, pieces: int, kind: Format = "gzip") -> bytes:
    """`pieces` MiB of this byte, whole and sound."""
    piece, packer = byte * PIECE, zlib.compressobj(9, wbits=WINDOW["raw"])
    packer.compress(piece)
    packer.flush(zlib.Z_FULL_FLUSH)
    middle = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)  # it refers to nothing before it, and so may come as often as it is wanted
    return head(kind) + middle * pieces + packer.flush() + tail(kind, piece, pieces)


def head(kind: Format) -> bytes:
    return {"gzip": b"\x1f\x8b\x08" + b"\x00" * 6 + b"\xff", "zlib": b"\x78\xda", "raw": b""}[kind]


def tail(kind: Format, piece: bytes, pieces: int) -> bytes:
    """What a reader compares at the end."""
    check = {"gzip": 0, "zlib": 1, "raw": 0}[kind]
    for _ in range(pieces):
        check = (zlib.adler32 if kind == "zlib" else zlib.crc32)(piece, check)
    size = len(piece) * pieces
    return {"gzip": check.to_bytes(4, "little") + size.to_bytes(4, "little"), "zlib": check.to_bytes(4), "raw": b""}[kind]
