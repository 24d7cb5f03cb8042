"""Deduplicates the messages of a route with `once`: the first message with a key is sent. Another takes the key when the first is a dead letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from worker.config.compiled import Template
from worker.core.delivery_state import DeliveryState
from worker.core.json_codec import encode
from worker.core.ledger import Claim, Ledger, LedgerEntry, once_key, once_released
from worker.core.message import Delivery
from worker.core.ports import Evaluator


@dataclass(frozen=True, slots=True)
class Deduplicator:
    """The holders of the keys of one route, for as long as the ledger remembers: about a day."""

    route: str
    key: Template
    ledger: Ledger
    evaluator: Evaluator

    async def key_of(self, document: Any, bindings: dict[str, Any]) -> str:
        """Return the key of a message; empty where the expression yields nothing. Raises `ExpressionError`, `Undecodable`."""
        return key_text(await self.key.evaluate(document, bindings, self.evaluator))

    async def holder(self, key: str, delivery: Delivery, state: DeliveryState) -> int | None:
        """Return the number of this message among the holders of the key (0, 1 …); None: it is a copy. Raises `BrokerError`.

        A second message with the id of the first is another message, unless the broker or the worker delivered the first again. A dead letter keeps its key
        until another message takes it; replayed after that, the dead letter is the copy. The number that it had does not apply to another key: an operator may
        have edited the letter, or the route may compute another key now.
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

    def release(self, key: str, number: int, state: DeliveryState) -> LedgerEntry:
        """Return the ledger entry for a holder that becomes a dead letter: the next message may take the key."""
        return LedgerEntry(once_released(self.route, number, key), state.message_id)


def owner_of(delivery: Delivery, state: DeliveryState) -> str:
    """Return the id and the content of a message, which it shares with its copies and with no other message."""
    return f"{state.origin or delivery.message.message_id}:{delivery.digest.hex()}"


def key_text(value: Any) -> str:
    """Return the text of a key: 7, 7.0 and "7" are one key, as in Halo. Empty for nothing. Raises `Undecodable` for a value that is not JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return encode(value).decode()
