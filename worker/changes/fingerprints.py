"""Digests of a record's members: they show whether the content is the same and contain no data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import orjson

from worker.changes.records import UPDATE_STAMPS, VOLATILE, parse_stamp, updated_at, without_control

NAME_BYTES, VALUE_BYTES = 4, 8
EPOCH, MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
MASK = (1 << 8 * VALUE_BYTES) - 1
TICK = 3  # milliseconds by which a date may differ between an answer and a list: the database rounds to 1/300 s
DATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
OF_NOW = re.compile(r"T\d\d:\d\d:\d\d\.\d{4,}")  # more decimals than the database stores: Halo took the time while it answered


@lru_cache(4096)
def name_digest(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(errors="surrogatepass"), digest_size=NAME_BYTES).digest())


def milliseconds(stamp: datetime | None) -> int | None:
    """Return milliseconds since 1970."""
    return None if stamp is None else (stamp - EPOCH) // MILLISECOND


def moment_of(value: Any) -> int | None:
    """Return a Halo date in milliseconds since 1970; None for other values and for unset dates."""
    return milliseconds(parse_stamp(value)) if isinstance(value, str) and DATED.match(value) else None


def is_of_now(value: Any) -> bool:
    """Return whether the value is the time of the request that Halo answers."""
    return isinstance(value, str) and OF_NOW.search(value) is not None and moment_of(value) is not None


def same_moment(one: int | None, other: int | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= TICK


def stamp_of(row: Mapping[str, Any]) -> int | None:
    """Return the update stamp in milliseconds since 1970, None without one."""
    return milliseconds(updated_at(row))


def canonical(value: Any) -> bytes:
    """Return the value as text, equal in lists, details and answers; empty for every form of an unset value."""
    if value is None or value in ("", [], {}):
        return b""
    if isinstance(value, str):
        if DATED.match(value):
            moment = moment_of(value)
            return b"" if moment is None else b"@%d" % moment
        return value.encode(errors="surrogatepass")
    return orjson.dumps(_plain(without_control(value)), option=orjson.OPT_SORT_KEYS)


def _plain(value: Any) -> Any:
    """Normalise at any depth: integral floats become integers, dates milliseconds; unset members are left out."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {name: _plain(member) for name, member in value.items() if canonical(member)}
        case list():
            return [_plain(item) for item in value]
        case str() if DATED.match(value):
            return moment_of(value)
        case _:
            return value


@lru_cache(8192)
def _digest(name: str, text: bytes) -> int:
    return int.from_bytes(blake2b(text, digest_size=VALUE_BYTES, key=name.encode(errors="surrogatepass")[-64:]).digest())


def content_of(row: Mapping[str, Any], ignore: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the members that count as content, without update stamps."""
    left_out = VOLATILE | ignore
    return {name: value for name, value in row.items() if name not in left_out and name not in UPDATE_STAMPS and not name.startswith("_")}


def digests(content: Mapping[str, Any], *, nested: bool = True) -> dict[int, int]:
    """Map the digest of each name to the digest of its value; unset members are left out."""
    found = {}
    for name, value in content.items():
        if (nested or not isinstance(value, (dict, list))) and (text := canonical(value)):
            found[name_digest(name)] = _digest(name, text)
    return found


def total(members: Mapping[int, int]) -> int:
    """Return one sum over all members, from which a member can be subtracted."""
    return sum(members.values()) & MASK


@dataclass(frozen=True, slots=True)
class Trace:
    """What the worker stores of a record to detect later changes: its update stamp or, without one, a sum over its members."""

    stamp: int | None = None
    members: int | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any], ignore: frozenset[str] = frozenset()) -> Trace:
        stamp = stamp_of(row)
        return cls(stamp=stamp) if stamp is not None else cls(members=total(digests(content_of(row, ignore))))

    def encode(self) -> str:
        return f"s{self.stamp:x}" if self.stamp is not None else f"m{self.members or 0:x}"

    @classmethod
    def decode(cls, text: str | None) -> Trace:
        """Return an empty trace for an empty text and for one of another version."""
        if not text or text[0] not in "sm":
            return cls()
        number = int(text[1:], 16)
        return cls(stamp=number) if text[0] == "s" else cls(members=number)
