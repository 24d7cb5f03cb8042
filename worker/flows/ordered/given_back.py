"""Messages that went back to the queue before they were moved: they have to come again before anything that is behind them.

RabbitMQ takes back what a closed channel held some time after it has closed: with bodies of 1.5 MiB, after its successor has begun to consume (one run of two on
4.0.5, seldom on 3.10.8). What waits in the queue is then handed out first.
"""

from __future__ import annotations

from typing import Final

from worker.core.message import Delivery, digest_of

PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds for which a message that came too early is held. Each of them costs it one delivery."""


class GivenBack:
    """Their order, and whether this worker was the first to have them. Messages that are gone meanwhile are expected for the time of all pauses together."""

    def __init__(self) -> None:
        self._expected: dict[tuple[str, bytes], bool] = {}
        self._held = 0

    def add(self, delivery: Delivery) -> None:
        self._expected.setdefault(known_by(delivery), not delivery.redelivered)

    def pause_before(self, delivery: Delivery) -> float:
        """Seconds for which this message has to wait for those in front of it, and then goes back too; 0 when it is its turn."""
        if not self._expected or known_by(delivery) == next(iter(self._expected)):
            return 0.0
        self._held += 1
        return PAUSES[self._held - 1] if self._held <= len(PAUSES) else 0.0

    def take(self, delivery: Delivery) -> bool:
        """Its turn has come: nothing in front of it is expected any more. Returns whether no worker can have begun it."""
        known, self._held = known_by(delivery), 0
        if known not in self._expected:
            self._expected.clear()
            return False
        while True:
            first = next(iter(self._expected))
            unbegun = self._expected.pop(first)
            if first == known:
                return unbegun


def known_by(delivery: Delivery) -> tuple[str, bytes]:
    return delivery.message.message_id, digest_of(delivery)
