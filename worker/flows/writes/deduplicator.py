"""Deduplicates the messages of a route with `once`: of those with one key the first is sent; another takes the key when the first is a dead letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.config.compiled import Template
from worker.core.delivery_state import DeliveryState
from worker.core.json_codec import encode
from worker.core.ledger import Claim, Entry, Ledger, once_key, once_released
from worker.core.message import Delivery, digest_of
from worker.core.ports import Evaluator


@dataclass(frozen=True, slots=True)
class Deduplicator:
    """The holders of the keys of one route, for as long as the ledger remembers: about a day."""

    route: str
    key: Template
    ledger: Ledger
    evaluator: Evaluator

    async def key_of(self, document: Any, bindings: dict[str, Any]) -> str:
        """Empty where the expression yields nothing. Raises `ExpressionError`, `Undecodable`."""
        return key_text(await self.key.evaluate(document, bindings, self.evaluator))

    async def holder(self, key: str, delivery: Delivery, state: DeliveryState) -> int | None:
        """The number of the holder (0, 1 …) that this message is; None: it is a copy. Raises `BrokerError`.

        A second message with the id of the first is another message, unless the broker or the worker brought the first again. A dead letter keeps its key
        until another message takes it; replayed after that, the dead letter is the copy. The number that it had says nothing of another key: an operator may
        have edited it, or the route may compute another one now.
        """
        own = state.redelivered or state.copied
        number = state.holder or 0
        if number and not await self.ledger.knows(once_key(self.route, number, key)):
            number = 0
        while True:
            claim = await self.ledger.claim(once_key(self.route, number, key), owner_of(delivery, state))
            if claim is Claim.WON:
                return number
            succeeded = await self.ledger.knows(once_key(self.route, number + 1, key))
            if claim is Claim.AGAIN and own and not succeeded:
                return number
            if claim is Claim.AGAIN and own and state.holder == number:
                return None
            if not succeeded and not await self.ledger.knows(once_released(self.route, number, key)):
                return None
            number += 1

    def release(self, key: str, number: int, state: DeliveryState) -> Entry:
        """What the ledger learns when this holder becomes a dead letter: the next message may take the key."""
        return Entry(once_released(self.route, number, key), state.message_id)


def owner_of(delivery: Delivery, state: DeliveryState) -> str:
    """What a message shares with its copies, and with no other message: its id and its content."""
    return f"{state.origin or delivery.message.message_id}:{digest_of(delivery).hex()}"


def key_text(value: Any) -> str:
    """The text of a key: 7, 7.0 and "7" are one, as Halo takes them. Empty for nothing. Raises `Undecodable` for what is not JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return encode(value).decode()
