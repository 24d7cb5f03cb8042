"""What is asked of the headers of a call."""

from __future__ import annotations

from typing import Protocol


class Headers(Protocol):
    """Names compare without case, and one may stand there several times."""

    def getall(self, key: str, default: list[str], /) -> list[str]: ...


def only(headers: Headers, name: str) -> bytes:
    """The one value of a header; nothing where it is absent or stands there more than once."""
    values = headers.getall(name, [])
    return values[0].encode(errors="surrogateescape") if len(values) == 1 else b""
