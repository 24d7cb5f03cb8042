"""Writes values for Halo in a URL: one path segment, or the text of a query parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from worker.catalogue.errors import RequestError
from worker.core.errors import Undecodable
from worker.core.exact_numbers import whole
from worker.core.json_codec import encode

FIRST_PRINTABLE = 0x20
DELETE = 0x7F
LAST_CONTROL = 0x9F


def path_segment(name: str, value: Any) -> str:
    """Return one encoded path segment for a text or a whole number; ids such as 3.0, which Halo sometimes writes, become 3."""
    value = whole(value)
    if isinstance(value, bool) or not (isinstance(value, (str, int)) or is_whole(value)):
        raise RequestError(f"path parameter {name!r} must be a text or a whole number, not {type(value).__name__}")
    text = str(value)
    problem = segment_problem(text)
    if problem:
        raise RequestError(f"path parameter {name!r} {problem}")
    return quote(text, safe="")


def segment_problem(text: str) -> str | None:
    """Return why a text cannot be a segment of a path: it would change the path, or is not valid text."""
    if not text.strip(" ."):
        return "is empty" if not text.strip() else "consists of dots only"
    if "/" in text or "\\" in text:
        return "holds a slash"
    if any(ord(character) < FIRST_PRINTABLE or DELETE <= ord(character) <= LAST_CONTROL for character in text):
        return "holds a control character"
    return None if is_text(text) else "holds half of a surrogate pair"


def is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def scalar_text(name: str, value: Any) -> str | None:
    """Return the text of one value; None when it is not a scalar."""
    if isinstance(value, bool):
        return "true" if value else "false"  # Halo reads 1 as false
    if isinstance(value, (int, float, Decimal)):
        return number_text(name, value)
    if isinstance(value, date):
        return date_text(value)
    if isinstance(value, str) and not is_text(value):
        raise RequestError(f"query parameter {name!r} holds half of a surrogate pair")
    return value if isinstance(value, str) else None


def is_whole(value: Any) -> bool:
    """Whether it is an integer beyond 64 bits."""
    return isinstance(value, Decimal) and value.as_tuple().exponent == 0


def number_text(name: str, value: float | Decimal) -> str:
    if not math.isfinite(value):
        raise RequestError(f"query parameter {name!r} is not a finite number")
    return encode(value).decode()


def date_text(value: date) -> str:
    """Return ISO 8601. A time ends in Z; a time without a zone is UTC, like all times of Halo."""
    if not isinstance(value, datetime):
        return value.isoformat()
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")


def query_text(name: str, value: Any) -> str | None:
    """Return the text of a query value; None to leave the parameter out. Lists of scalars are joined by commas, other values are JSON."""
    if value is None:
        return None
    text = scalar_text(name, value)
    if text is not None:
        return text
    if isinstance(value, (list, tuple)):
        if not value:
            raise RequestError(f"query parameter {name!r} is an empty list, which Halo would read as no filter")
        items = [scalar_text(name, item) for item in value]
        texts = [item for item in items if item is not None]
        if len(texts) == len(items):
            return joined(name, texts)
    if not isinstance(value, (list, tuple, Mapping)):
        raise RequestError(f"query parameter {name!r} cannot be a {type(value).__name__}")
    try:
        return encode(value).decode()
    except Undecodable:
        raise RequestError(f"query parameter {name!r} holds something that JSON cannot") from None


def joined(name: str, texts: list[str]) -> str:
    if len(texts) > 1 and any("," in text for text in texts):
        raise RequestError(f"query parameter {name!r} is a list of which an item holds a comma, the separator of lists")
    return ",".join(texts)
