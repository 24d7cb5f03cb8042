"""Reads a large list of records piece by piece: one call for all of it would hold up everything else, 36 MB of Halo's records for half a second."""

from __future__ import annotations

from typing import Any, Final

import orjson

PIECE: Final = 1024 * 1024  # bytes read at once: some 10 ms
LONGEST_HEAD: Final = 64 * 1024  # bytes before the list
BETWEEN: Final = b"},{"
TRIES: Final = 4  # places at which a piece may end, before it is given up: the mark may stand inside a record
MARK: Final = "halo-worker: here the last piece of the list begins"


def loads(text: bytes) -> Any:
    """As `orjson.loads`. Raises `orjson.JSONDecodeError`.

    In pieces where the text is a list of objects, or an object with one among its members. A piece is a part of the list if it is valid JSON between brackets:
    a cut inside a text leaves it without an end, and a cut inside a record leaves a bracket open.
    """
    if len(text) < 2 * PIECE:
        return orjson.loads(text)
    try:
        found = in_pieces(text)
    except orjson.JSONDecodeError:  # the error of the whole text names the right place
        found = None
    return orjson.loads(text) if found is None else found[0]


def in_pieces(text: bytes) -> tuple[Any] | None:
    """The value; None for a text that holds no such list where it is looked for. Raises `orjson.JSONDecodeError`."""
    start = text.find(b"[{", 0, LONGEST_HEAD) + 1
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
    """Append the records from `start` on to `records`; where the next record begins, None where no end of a piece is found."""
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
