"""Chooses the broker node to try next: one after the other, from a random start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from worker.core.broker_addresses import host_and_port
from worker.core.entropy import uniform


class Rotation:
    """Keeps its place from one attachment to the next.

    It begins at random: replicas that all begin with the first address would leave the other nodes without work, and would move to the next one together.
    """

    def __init__(self, begin: float | None = None) -> None:
        """`begin`: the start in the list, from 0 to 1; None: a random start."""
        self._begin = uniform(0.0, 1.0) if begin is None else begin
        self._last: str | None = None

    @property
    def place(self) -> str:
        """Host and port of the address that was tried last."""
        return "" if self._last is None else host_and_port(self._last)

    def round(self, addresses: Sequence[str]) -> Iterator[str]:
        """Each address once, from the one after the last that was tried."""
        first = addresses.index(self._last) + 1 if self._last in addresses else int(self._begin * len(addresses))
        for step in range(len(addresses)):
            self._last = addresses[(first + step) % len(addresses)]
            yield self._last
