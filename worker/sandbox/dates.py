"""Halo's times: stored with the precision of its database, naive in lists, with seven decimals in answers to a POST."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

UNSET = datetime(1900, 1, 1, tzinfo=UTC)
LOOSE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d{2}:?\d{2})?", re.IGNORECASE)


def stored(moment: datetime) -> datetime:
    """The time as the database stores it: in steps of 1/300 second, shown as .000, .003 and .007."""
    whole = moment.replace(microsecond=0)
    ticks = (moment.microsecond * 3 + 5_000) // 10_000
    return whole + timedelta(milliseconds=round(ticks * 10 / 3))


def naive(moment: datetime) -> str:
    """As in lists and details: UTC without an offset, up to three decimals."""
    text = moment.isoformat()[:23]
    return (text.rstrip("0") if "." in text else text[:19]).removesuffix(".")


def comparable(moment: datetime) -> str:
    """As in the cells of a report: always three decimals, so that texts compare as the times do."""
    return moment.isoformat(timespec="milliseconds")[:23]


def zoned(moment: datetime) -> str:
    """As in the answer to a POST: with a Z, and as many decimals as needed."""
    text = moment.isoformat()[:26]
    return f"{text.rstrip('0').removesuffix('.') if '.' in text else text[:19]}Z"


def precise(moment: datetime) -> str:
    """As in the answer to a POST, for the time of the POST itself: seven decimals; Python knows six."""
    return f"{moment.isoformat(timespec='microseconds')[:26]}4Z"


def parse_moment(text: str) -> datetime | None:
    """Reads a time from a client: ISO 8601 with an offset, or UTC without one. None if it is malformed."""
    match = LOOSE.fullmatch(text.strip())
    if match is None:
        return None
    day, time, fraction, zone = match.groups()
    offset = "+00:00" if zone is None or zone in "Zz" else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{time or '00:00'}{offset}")
    except ValueError:
        return None
    return moment.astimezone(UTC) + timedelta(microseconds=int((fraction or "0").ljust(6, "0")[:6]))
