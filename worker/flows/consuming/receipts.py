"""Receipts: word that a message was here and waited for memory, so that it is not taken for one that may have been started."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

from worker.core.delivery_state import DeliveryState
from worker.core.errors import BrokerError
from worker.core.identity import identity_of
from worker.core.ledger import Key, Ledger, arrival_key
from worker.core.message import Delivery

FREE = 32 * 1024  # bytes of a body that waits for no memory: the concurrency of its route bounds such bodies well enough
WITHIN = 1.0  # seconds in which another replica's receipt gets here


@dataclass(frozen=True, slots=True)
class Receipts:
    """A receipt is claimed before anything can be sent for its message. So whoever knows it would know of an attempt as well."""

    ledger: Ledger

    async def leave(self, delivery: Delivery) -> None:
        """Before the message waits. Without a broker there is none: should it come again, it may be parked though it was never sent."""
        with suppress(BrokerError):
            await self.ledger.claim(key_of(delivery), "whoever has it")

    async def read(self, delivery: Delivery, envelope: DeliveryState) -> DeliveryState:
        """The envelope, which also says whether claims about a message that was handed out before are remembered."""
        if not delivery.redelivered or len(delivery.message.body) <= FREE or envelope.remembered is not None:
            return envelope
        with suppress(BrokerError):
            if await self.ledger.knows(key_of(delivery), within=WITHIN):
                return replace(envelope, remembered=True)
        return envelope


def key_of(delivery: Delivery) -> Key:
    return arrival_key(*identity_of(delivery))
