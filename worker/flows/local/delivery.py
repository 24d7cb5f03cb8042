"""A message that no broker holds, and the claims and the clock of one process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from worker.core.ledger import Claim, Key
from worker.core.message import DroppedBody, Message, digest_of


@dataclass(frozen=True)
class LocalDelivery:
    """A message of this process alone; implements `Delivery`."""

    message: Message
    queue: str
    exchange: str = ""
    routed: str = ""
    redelivered: bool = False
    offset: int | None = None
    dropped_body: DroppedBody | None = None

    @property
    def routing_key(self) -> str:
        return self.routed or self.queue

    @property
    def digest(self) -> bytes:
        return digest_of(self.message, self.dropped_body)

    async def ack(self) -> None:
        """Do nothing: no broker holds the message."""

    async def reject(self) -> None:
        """As `ack`."""

    async def give_back(self) -> None:
        """As `ack`."""


class LocalLedger:
    """The claims of one process; implements `Ledger`."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}

    async def claim(self, key: Key, owner: str) -> Claim:
        first = self._owners.get(str(key))
        if first is None:
            self._owners[str(key)] = owner
            return Claim.WON
        return Claim.AGAIN if first == owner else Claim.TAKEN

    async def knows(self, key: Key, *, within: float = 0.0) -> bool:  # noqa: ARG002 - no other process adds claims
        return str(key) in self._owners

    async def claimed_at(self, key: Key) -> float | None:  # noqa: ARG002 - one attempt is made in this process
        return None


@dataclass(frozen=True, slots=True)
class StillClock:
    """A clock that always shows `at` (seconds since 1970) and never waits; implements `Clock`."""

    at: float

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:  # noqa: ARG002 - it does not wait
        await asyncio.sleep(0)
