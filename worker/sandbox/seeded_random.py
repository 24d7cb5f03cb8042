"""Stateless pseudo-random values: the same seed, record and purpose give the same value."""

from __future__ import annotations

from uuid import UUID

UINT64_MAX = (1 << 64) - 1


def seeded_int(seed: int, number: int, purpose: int, bound: int) -> int:
    """At least 0 and less than `bound`."""
    mixed = (number * 0x9E3779B97F4A7C15 + seed * 0xBF58476D1CE4E5B9 + purpose * 0x94D049BB133111EB) & UINT64_MAX
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & UINT64_MAX
    return ((mixed ^ (mixed >> 27)) >> 8) % bound


def seeded_guid(seed: int, number: int, purpose: int) -> str:
    high, low = seeded_int(seed, number, purpose, UINT64_MAX), seeded_int(seed, number, purpose + 1000, UINT64_MAX)
    return str(UUID(int=(high << 64) | low, version=4))
