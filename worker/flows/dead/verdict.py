"""An operator's word about letters in doubt."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What an operator says of letters that may have had their effect."""

    SENT = "sent"
    NOT_SENT = "not-sent"
    LOOK = "look"
