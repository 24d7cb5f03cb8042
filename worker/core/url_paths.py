"""Finds URL paths that lead to a parent folder, in every way in which a server may read them. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote

MAX_DECODINGS = 3  # proxies decode a path once, some servers twice
SEPARATOR = re.compile(r"[/\\]")


def leaves_folder(path: str) -> bool:
    """Whether a server could read a path as one that leads to a parent folder, after repeated decoding."""
    for _ in range(MAX_DECODINGS + 1):
        if any(part.partition(";")[0] in {".", ".."} for part in SEPARATOR.split(path)):  # a servlet drops the text after a semicolon
            return True
        path = unquote(path)
    return False
