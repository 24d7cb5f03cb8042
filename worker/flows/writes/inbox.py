"""The inbox of a route with `once`: of the messages that a sender sends with the same key the first is taken, and another only after that one was buried."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from worker.config.compiled import Template
from worker.core.delivery_state import DeliveryState
from worker.core.errors import BrokerError
from worker.core.message import Delivery, digest_of
from worker.core.ports import Claim, Claims, Evaluator
from worker.flows.writes.keys import key_text


@dataclass(frozen=True, slots=True)
class Inbox:
    """Who holds the keys of one route. Claims hold for about a day, and so does this."""

    name: str
    key: Template
    claims: Claims
    evaluator: Evaluator

    async def key_of(self, document: Any, bindings: dict[str, Any]) -> str:
        """Empty where the expression yields nothing. Raises `ExpressionError`, `Undecodable`."""
        return key_text(await self.key.evaluate(document, bindings, self.evaluator))

    async def holder(self, key: str, delivery: Delivery, envelope: DeliveryState) -> int | None:
        """As which holder of the key (0, 1 …) this message is to be taken; None: it is a copy. Raises `BrokerError`.

        A message under the same id is another one of the sender, unless the broker or the worker itself has brought the first one again. Who was buried holds its
        key until another has come; replayed after that, it is the copy.
        """
        own = envelope.redelivered or envelope.copied
        number = envelope.holder or 0
        while True:
            claim = await self.claims.claim(self._held(key, number), owner_of(delivery, envelope))
            if claim is Claim.WON:
                return number
            succeeded = await self.claims.seen(self._held(key, number + 1))
            if claim is Claim.AGAIN and own and not succeeded:
                return number
            if claim is Claim.AGAIN and own and envelope.holder == number:
                return None
            if not succeeded and not await self.claims.seen(self._buried(key, number)):
                return None
            number += 1

    async def buried(self, key: str, number: int, envelope: DeliveryState) -> None:
        """This holder goes into the dead queue: the next message with the key may come."""
        with suppress(BrokerError):  # then the next ones are left out while this one lies in the dead queue, and can be replayed
            await self.claims.claim(self._buried(key, number), envelope.message_id)

    def _held(self, key: str, number: int) -> str:
        return f"once:{self.name}:{number}:{key}"

    def _buried(self, key: str, number: int) -> str:
        return f"buried-once:{self.name}:{number}:{key}"


def owner_of(delivery: Delivery, envelope: DeliveryState) -> str:
    """What a message has in common with all copies that the worker or the broker makes of it, and with no other message: its id and its content."""
    return f"{envelope.origin or delivery.message.message_id}:{digest_of(delivery).hex()}"
