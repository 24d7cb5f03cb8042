"""Removes personal data from answers: a fixed choice of values stays, and everything else is replaced.

Names of members stay if the published API has them. Ids, small numbers, booleans and dates stay in members whose names say so. No other text stays: it could
be a name in any member. The same value has the same replacement within one recording, so that equal values stay equal; the pairs are in memory only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from worker.core.errors import Undecodable
from worker.core.json_codec import decode, encode
from worker.sandbox.recording.known_names import KnownNames

ID_NAME = re.compile(r"(^|_|[a-z])ids?\d*$|guid$|^page_(no|size)$|^count$|^record_count$")
DATE_NAME = re.compile(r"date|time|when|stamp|created|updated|changed|expir|_at$|^start|^end|due")
BIRTH_NAME = re.compile(r"birth|^dob$|_dob$")
PERSONAL_NUMBER = re.compile(
    r"phone|mobile|fax|tel$|zip|postcode|post_code|latitude|longitude|^lat$|^lng$|^long?$|ssn|social|salary|iban|account|passport|birth|dob"
)
COLOUR_NAME = re.compile(r"colou?r")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?")
NUMBERS = re.compile(r"-?\d{1,9}(,-?\d{1,9}){0,99}")
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
CUSTOM_FIELD = re.compile(r"CF[A-Za-z0-9_]{1,60}")
FLAGS = frozenset({"true", "false", "True", "False"})
EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
TAG = re.compile(r"<[A-Za-z!/][^>]*>")
MAX_PLAIN = 1_000_000  # a larger number may be a telephone number, unless its member is an id
MAX_ID = 2**31 - 1
SOME_DAY = "2000-01-01T00:00:00"
MAX_TEXT_DEPTH = 5  # JSON in a text in JSON in a text …


class Scrubber:
    """Scrubs the values of one recording."""

    def __init__(self, names: KnownNames) -> None:
        self._names = names
        self._numbers: dict[Any, int] = {}

    def value(self, value: Any, name: str = "", depth: int = 0) -> Any:
        """Return a copy of the value of the member `name` without personal data."""
        plain = name.lower()
        match value:
            case Mapping():
                return {self.member(str(key)): self.value(member, str(key), depth) for key, member in value.items()}
            case list():
                return [self.value(item, name, depth) for item in value]
            case bool() | None:
                return value
            case str():
                return self._text(value, plain, depth)
            case int() | float() | Decimal():
                return self._number(value, plain)
            case _:
                return None

    def member(self, name: str) -> str:
        """Return the name of a member; a name that the API does not publish is replaced."""
        return name if name.lower() in self._names.members else f"member{self._numbered(('member', name.lower()))}"

    def query(self, query: Mapping[str, str]) -> dict[str, str]:
        """Query parameters."""
        named = ((name if name.lower() in self._names.parameters else f"parameter{self._numbered(('parameter', name.lower()))}", name) for name in query)
        return {shown: self._text(query[name], name.lower(), 0) for shown, name in named}

    def path(self, path: str) -> str:
        """Return a path below /api: its published segments and ids stay."""
        return "/".join(part if self._is_plain_segment(part) else f"text{self._numbered(part)}" for part in path.split("/"))

    def _is_plain_segment(self, part: str) -> bool:
        return not part or part.lower() in self._names.segments or (part.isascii() and part.isdecimal() and len(part) < len(str(MAX_ID)))

    def _text(self, text: str, name: str, depth: int) -> str:
        if not text.strip() or text in FLAGS or is_plain(text, name):
            return text
        if MOMENT.fullmatch(text):
            return SOME_DAY
        if depth < MAX_TEXT_DEPTH and text.lstrip()[0] in "[{" and (inner := decoded(text)) is not None:
            return encode(self.value(inner, name, depth + 1)).decode()
        number = self._numbered(text)
        if EMAIL.fullmatch(text):
            return f"person{number}@example.com"
        return f"<p>Text {number}</p>" if TAG.search(text) else f"Text {number}"

    def _number(self, value: float | Decimal, name: str) -> Any:
        limit = MAX_ID if ID_NAME.search(name) else MAX_PLAIN
        if PERSONAL_NUMBER.search(name) or not -limit <= value <= limit:  # also for values such as NaN that compare with no number
            return self._numbered((type(value).__name__, str(value)))
        return value

    def _numbered(self, value: Any) -> int:
        return self._numbers.setdefault(value, len(self._numbers) + 1)


def is_plain(text: str, name: str) -> bool:
    """Whether the form of this member's text shows that it is no personal data."""
    if MOMENT.fullmatch(text):
        return DATE_NAME.search(name) is not None and BIRTH_NAME.search(name) is None
    if NUMBERS.fullmatch(text) or GUID.fullmatch(text):
        return ID_NAME.search(name) is not None
    if COLOUR.fullmatch(text):
        return COLOUR_NAME.search(name) is not None
    return name == "name" and CUSTOM_FIELD.fullmatch(text) is not None


def decoded(text: str) -> dict[str, Any] | list[Any] | None:
    """Return the object or array that a text holds."""
    try:
        found = decode(text.encode())
    except (Undecodable, UnicodeEncodeError):
        return None
    return found if isinstance(found, dict | list) else None
