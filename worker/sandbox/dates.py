"""Halo's moments: kept with the precision of its database, written naive in lists and with seven decimals in answers to a POST."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

UNSET = datetime(1900, 1, 1, tzinfo=UTC)
LOOSE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d{2}:?\d{2})?", re.IGNORECASE)


def stored(moment: datetime) -> datetime:
    """The moment as the database keeps it: in steps of a 300th of a second, shown as .000, .003 and .007."""
    whole = moment.replace(microsecond=0)
    ticks = (moment.microsecond * 3 + 5_000) // 10_000
    return whole + timedelta(milliseconds=round(ticks * 10 / 3))


def naive(moment: datetime) -> str:
    """As in lists and details: UTC without saying so, up to three decimals."""
    text = moment.isoformat()[:23]
    return (text.rstrip("0") if "." in text else text[:19]).removesuffix(".")


def zoned(moment: datetime) -> str:
    """As in the answer to a POST: with a Z, and the decimals that there are."""
    text = moment.isoformat()[:26]
    return f"{text.rstrip('0').removesuffix('.') if '.' in text else text[:19]}Z"


def precise(moment: datetime) -> str:
    """As in the answer to a POST, for the moment of the POST itself: seven decimals, of which our clock knows six."""
    return f"{moment.isoformat(timespec='microseconds')[:26]}4Z"


def parse_moment(text: str) -> datetime | None:
    """A moment that a client wrote: ISO 8601 with or without a zone (without: UTC), or None when it is not one."""
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
