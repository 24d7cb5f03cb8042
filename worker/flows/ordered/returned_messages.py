"""Messages that went back to the queue before they were moved: they must come again before any message behind them.

RabbitMQ takes back the messages of a closed channel some time after it has closed. With bodies of 1.5 MiB this is after its successor has begun to consume (one
run of two on 4.0.5, seldom on 3.10.8). The broker then delivers the messages that wait in the queue first.
"""

from __future__ import annotations

from typing import Final

from worker.core.message import Delivery

PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds for which a message that came too early is held. Each pause costs the message one delivery."""


class ReturnedMessages:
    """The order of these messages, and whether this worker was the first to have them.

    A message that is no longer in the queue is expected for the time of all pauses together.
    """

    def __init__(self) -> None:
        self._expected: dict[tuple[str, bytes], bool] = {}
        self._held = 0

    def add(self, delivery: Delivery) -> None:
        self._expected.setdefault(identity_by_content(delivery), not delivery.redelivered)

    def pause_before(self, delivery: Delivery) -> float:
        """Return the seconds that this message must wait for messages in front of it, before it goes back too; 0 when it is its turn."""
        if not self._expected or identity_by_content(delivery) == next(iter(self._expected)):
            return 0.0
        self._held += 1
        return PAUSES[self._held - 1] if self._held <= len(PAUSES) else 0.0

    def take(self, delivery: Delivery) -> bool:
        """Take a message whose turn has come; no message in front of it is expected any more. Return whether no worker can have begun it."""
        known, self._held = identity_by_content(delivery), 0
        if known not in self._expected:
            self._expected.clear()
            return False
        while True:
            first = next(iter(self._expected))
            unbegun = self._expected.pop(first)
            if first == known:
                return unbegun


def identity_by_content(delivery: Delivery) -> tuple[str, bytes]:
    return delivery.message.message_id, delivery.digest
