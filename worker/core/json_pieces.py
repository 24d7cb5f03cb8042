"""Reads a large list of records piece by piece. One call for the whole list would block all other work: half a second for 36 MB of Halo's records."""

from __future__ import annotations

from typing import Any, Final

import orjson

PIECE: Final = 1024 * 1024  # bytes read at once: some 10 ms
MAX_HEAD: Final = 64 * 1024  # bytes before the list
BETWEEN: Final = b"},{"
TRIES: Final = 4  # places to try as the end of a piece: the mark may be inside a record
MARK: Final = "halo-worker: here the last piece of the list begins"


def loads(text: bytes) -> Any:
    """Parse JSON as `orjson.loads`. Raises `orjson.JSONDecodeError`.

    It reads in pieces a list of objects, or an object that has such a list as a member. A piece is a part of the list if it is valid JSON between brackets:
    a cut inside a text leaves the text without an end, and a cut inside a record leaves a bracket open.
    """
    if len(text) < 2 * PIECE:
        return orjson.loads(text)
    try:
        found = split_pieces(text)
    except orjson.JSONDecodeError:  # the error of the whole text names the right place
        found = None
    return orjson.loads(text) if found is None else found[0]


def split_pieces(text: bytes) -> tuple[Any] | None:
    """The value in a tuple; None where it finds no such list, or no place to cut it. Raises `orjson.JSONDecodeError`."""
    start = text.find(b"[{", 0, MAX_HEAD) + 1
    if not start or (name := list_name(text[:start])) is None:
        return None
    records: list[Any] = []
    head, at = text[:start], start
    while len(text) - at > 2 * PIECE:
        if (end := piece_end(text, at, records)) is None:
            return None
        at = end
    last = orjson.loads(b"".join((head, orjson.dumps(MARK), b",", text[at:])))
    rest = last if name == "" and isinstance(last, list) else last.get(name) if isinstance(last, dict) else None
    if not isinstance(rest, list) or rest[:1] != [MARK]:  # a later member has the same name
        return None
    rest[:1] = records
    return (last,)


def list_name(head: bytes) -> str | None:
    """The name of the member whose list begins at the end of this text; empty for a list that is the whole text, None for any other place."""
    if head.strip() == b"[":
        return ""
    try:
        opened = orjson.loads(head + b"]}")
    except orjson.JSONDecodeError:
        return None
    names = list(opened)
    return names[-1] or None


def piece_end(text: bytes, start: int, records: list[Any]) -> int | None:
    """Append the records from `start` on to `records`. Return the start of the next record, None when it finds no end of a piece."""
    end = start + PIECE
    for _ in range(TRIES):
        end = text.find(BETWEEN, end) + 1
        if not end:
            return None
        try:
            records += orjson.loads(b"".join((b"[", text[start:end], b"]")))
        except orjson.JSONDecodeError:
            continue
        return end + 1
    return None
