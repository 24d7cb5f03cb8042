"""Topic matching: `*` is one word, `#` any number of them."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=4096)
def matches(pattern: str, routing_key: str) -> bool:
    return words_match(tuple(pattern.split(".")), tuple(routing_key.split(".")))


def words_match(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Row by row over the pattern: which beginnings of the words it takes so far. Linear in pattern times words, whatever the pattern."""
    taken = [True] + [False] * len(words)
    for part in pattern:
        if part == "#":
            taken = [any(taken[: end + 1]) for end in range(len(words) + 1)]
        else:
            taken = [False] + [taken[end] and part in {"*", words[end]} for end in range(len(words))]
    return taken[-1]
