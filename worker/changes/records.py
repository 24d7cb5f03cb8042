"""Identity, content hash and date stamps of Halo's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from worker.core.exact_numbers import digest_text, whole

UPDATE_STAMPS = ("lastupdate", "last_update", "last_modified", "last_updated", "dlastupdate", "alastupdate", "ulastupdate", "slastupdate")
CREATION_STAMPS = ("dateoccurred", "datecreated", "actiondatecreated")
VOLATILE = frozenset(  # they change with time or with the reader, not with an edit
    {
        "currentelapsedhours",
        "elapsed_resolution_hours",
        "elapsed_response_hours",
        "embedding_match_timestamp",
        "postloggedview",
        "read",
        "search_index_sync_timestamp",
        "slaholdtime",
        "slatimeelapsed",
        "slatimeleft",
        "slatimeremaining",
        "supplier_slatimeelapsed",
        "ticketage",
        "unread",
        "unread_child_action_count",
        "unread_related_action_count",
    }
)
FIRST_REAL_YEAR = 1981  # Halo writes 1899 or 1900 for an unset date


def record_key(row: Mapping[str, Any], members: Sequence[str]) -> str | None:
    """Return the identity as text, composite members joined by a slash; None without one of them. 3, 3.0 and "3" are the same id."""
    if len(members) == 1 and type(value := row.get(members[0])) is int:  # the common case, read without a loop
        return str(value)
    parts = []
    for member in members:
        value = row.get(member)
        if value is None or isinstance(value, (dict, list, bool)):
            return None
        parts.append(str(whole(value)))
    return "/".join(parts)


def identity(key: str, members: Sequence[str]) -> dict[str, Any]:
    """Return the members of a key as a record has them, whole numbers as numbers: the inverse of `record_key`."""
    parts = key.split("/", len(members) - 1)
    return {member: int(part) if part.isdecimal() and str(int(part)) == part else part for member, part in zip(members, parts, strict=True)}


def content_hash(row: dict[str, Any], ignore: frozenset[str] = frozenset()) -> str:
    """Return 16 hexadecimal digits over the content. The order of its members does not matter.

    Control members (leading underscore, at any depth), volatile members and those in `ignore` do not count. Brokers store this hash: changing it
    publishes every known record again.
    """
    left_out = VOLATILE | ignore if ignore else VOLATILE
    content = row
    if not row.keys().isdisjoint(left_out):
        content = row.copy()
        for name in left_out & row.keys():
            del content[name]
    text = digest_text(content)
    if b'"_' in text:  # rare: only then look at each member, and only then at nested ones
        text = digest_text({name: value for name, value in content.items() if not name.startswith("_")})
        if b'"_' in text:
            text = digest_text(without_control(content))
    return blake2b(text, digest_size=8).hexdigest()


def without_control(value: Any) -> Any:
    """Return a copy without members that start with an underscore, at any depth."""
    if isinstance(value, dict):
        return {name: without_control(member) for name, member in value.items() if not name.startswith("_")}
    if isinstance(value, list):
        return [without_control(item) for item in value]
    return value


def parse_stamp(value: Any) -> datetime | None:
    """Return a Halo date in UTC, None for other values. Halo omits the zone (UTC), writes up to 7 decimals and uses years before 1981 for unset dates."""
    if not isinstance(value, str):
        return None
    try:
        stamp = datetime.fromisoformat(value)
    except ValueError:
        return None
    if stamp.year < FIRST_REAL_YEAR:
        return None
    if stamp.tzinfo is None:
        return datetime.combine(stamp, stamp.time(), UTC)  # five times as fast as `replace`
    try:
        return stamp.astimezone(UTC)
    except OverflowError:  # the zone leads out of the years that a date can have
        return None


def first_stamp(row: Mapping[str, Any], names: Sequence[str]) -> datetime | None:
    for name in names:
        if name in row and (stamp := parse_stamp(row[name])) is not None:
            return stamp
    return None


def updated_at(row: Mapping[str, Any]) -> datetime | None:
    return first_stamp(row, UPDATE_STAMPS)


def created_at(row: Mapping[str, Any]) -> datetime | None:
    return first_stamp(row, CREATION_STAMPS)


def halo_time(moment: datetime) -> str:
    """Format a time for Halo's date filters."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
