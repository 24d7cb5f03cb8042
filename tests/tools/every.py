"""One test over many items, which reports every item that fails: an item each would cost more than its check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest

Item = TypeVar("Item")
SHOWN = 20


def check_every(items: Iterable[Item], check: Callable[[Item], None], name: Callable[[Item], str] = str) -> None:
    """Check each item; fail with the names of all items whose check raised, and with what it raised. No item at all is a failure too."""
    count, broken = 0, []
    for item in items:
        count += 1
        try:
            check(item)
        except Exception as error:  # noqa: BLE001 - whatever a check raises belongs to its item
            broken.append(f"{name(item)}: {type(error).__name__}: {error}")
    if not count:
        pytest.fail("there is no item to check", pytrace=False)
    if broken:
        more = [f"and {len(broken) - SHOWN} more"] if len(broken) > SHOWN else []
        pytest.fail("\n".join([f"{len(broken)} of {count} items fail:", *broken[:SHOWN], *more]), pytrace=False)
