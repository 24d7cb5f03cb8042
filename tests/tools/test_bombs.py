"""A bomb is what it says, and small."""

import gzip
import zlib

import pytest

from tests.tools.bombs import PIECE, bomb


@pytest.mark.parametrize(("kind", "unpack"), [("gzip", gzip.decompress), ("zlib", zlib.decompress), ("raw", lambda packed: zlib.decompress(packed, wbits=-15))])
def test_it_unpacks_to_all_of_its_bytes(kind, unpack):
    packed = bomb(b"0", 5, kind)
    assert unpack(packed) == b"0" * 5 * PIECE
    assert len(packed) < 5 * PIECE / 500
