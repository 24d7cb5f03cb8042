"""Distinguishes deletions from a list that hides records: a removed permission must not look like a mass deletion. Pure."""

from __future__ import annotations

ALWAYS_ALLOWED = 5  # records that may be deleted at once from any list of which more than half stays


def too_many(missing: int, known: int, percent: int) -> bool:
    """Return whether more than `percent` of the `known` records are missing at once: they are then probably hidden, not deleted. 100 allows any share."""
    allowed = max(known * percent // 100, ALWAYS_ALLOWED if missing * 2 < known else 1)
    return percent < 100 and missing > allowed  # noqa: PLR2004 - per cent


def held_reason(missing: int, known: int, percent: int) -> str:
    """Return the reason for an operator."""
    return (
        f"{missing:,} of {known:,} known records are missing at once, more than `deletes_limit: {percent}` (percent) allows: none is reported as deleted. "
        "Check the permissions of the application and of its agent's role. If the records are really deleted, raise `deletes_limit` of the route"
    )
