"""JSON texts that other programs write and a strict reader refuses: half of a surrogate pair, as an escape or as bytes."""

from __future__ import annotations

import codecs
import re
from typing import Final

BOM: Final = codecs.BOM_UTF8
ESCAPE: Final = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL)
"""An escape inside a text. Pairs come first, and a backslash takes what follows it along, so that `\\\\ud800` is no escape of a half."""
HALF: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")
REPLACEMENT: Final = rb"\ufffd"


def repaired(text: bytes) -> bytes | None:
    """The text with U+FFFD in place of each half of a surrogate pair; None where it holds none."""
    mended = ESCAPE.sub(lambda found: REPLACEMENT if found["half"] else found[0], text)
    if HALF.search(mended):
        try:
            halves = mended.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return None
        mended = halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()  # joins the halves of a pair
    return mended if mended != text else None
