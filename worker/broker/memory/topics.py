"""Decides whether a binding matches a message, by the type of the exchange. In a topic exchange `*` is one word, `#` any number of words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from operator import eq

from worker.core.topology import ExchangeType


@lru_cache(maxsize=4096)
def matches(pattern: str, routing_key: str) -> bool:
    return words_match(tuple(pattern.split(".")), tuple(routing_key.split(".")))


def words_match(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Whether the pattern matches the words. It notes after each part of the pattern which first words match so far: linear in pattern times words."""
    taken = [True] + [False] * len(words)
    for part in pattern:
        if part == "#":
            taken = [any(taken[: end + 1]) for end in range(len(words) + 1)]
        else:
            taken = [False] + [taken[end] and part in {"*", words[end]} for end in range(len(words))]
    return taken[-1]


def always(_pattern: str, _routing_key: str) -> bool:
    return True


MATCHING: Mapping[ExchangeType, Callable[[str, str], bool]] = {"topic": matches, "direct": eq, "fanout": always, "headers": always}
"""A binding without arguments gets every message of a headers exchange; all bindings of the worker have none."""
