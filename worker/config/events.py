"""Halo's notification events: the names that route files use, and their numbers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

EVENTS: Mapping[str, int] = MappingProxyType(
    {
        "new_ticket": 3,
        "ticket_updated_by_user": 19,
        "closed": 39,
        "first_sla_warning": 42,
        "second_sla_warning": 46,
        "ticket_updated": 61,
        "deadline": 70,
        "status_changed": 76,
        "ticket_deleted": 1072,
    }
)
NAMES: Mapping[int, str] = MappingProxyType({number: name for name, number in EVENTS.items()})
HIGHEST = 1_000_000


def event_name(number: int) -> str:
    """The name of an event, or its number as text."""
    return NAMES.get(number, str(number))
