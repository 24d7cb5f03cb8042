"""Checks the headers of a call to another API: names that only the connection sets, and names that carry credentials."""

from __future__ import annotations

import re
from typing import Final

HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
CONNECTION_HEADERS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)
"""The headers that decide where a request ends or goes, and those of a proxy. No route and no value may set them."""
CREDENTIAL_HEADERS: Final = frozenset({"authorization", "cookie"})
"""The headers that `auth` sets; a method may set them where its integration has no authorization of its own."""


def is_connection_header(name: str) -> bool:
    """Whether the connection owns a header. Some servers read `_` as `-`."""
    return name.strip().lower().replace("_", "-") in CONNECTION_HEADERS


def is_credential_header(name: str) -> bool:
    return name.lower().replace("_", "-") in CREDENTIAL_HEADERS


def header_problem(name: str, text: str) -> str:
    """Why a header cannot be sent, empty where it can. The reason does not quote the value."""
    if not HEADER.fullmatch(name) or is_connection_header(name):
        return f"the header {name!r} cannot be set"
    return f"the header {name} holds a line break or another control character" if CONTROL_CHARACTERS.search(text) else ""
