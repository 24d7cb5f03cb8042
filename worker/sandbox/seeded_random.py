"""Reproducible chance: the same number for the same seed, record and purpose, without keeping anything."""

from __future__ import annotations

from uuid import UUID

MASK = (1 << 64) - 1


def seeded_int(seed: int, number: int, purpose: int, bound: int) -> int:
    """From 0 up to, not including, `bound`."""
    mixed = (number * 0x9E3779B97F4A7C15 + seed * 0xBF58476D1CE4E5B9 + purpose * 0x94D049BB133111EB) & MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    return ((mixed ^ (mixed >> 27)) >> 8) % bound


def seeded_guid(seed: int, number: int, purpose: int) -> str:
    high, low = seeded_int(seed, number, purpose, MASK), seeded_int(seed, number, purpose + 1000, MASK)
    return str(UUID(int=(high << 64) | low, version=4))
