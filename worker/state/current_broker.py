"""The current broker attachment, for parts that outlive attachments: handlers, and the public server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from worker.core.errors import BrokerUnreachable, ChannelLost
from worker.core.header_codec import HeaderCodec
from worker.core.lanes import LanePart, Onward
from worker.core.ledger import Claim, Key, Ledger, visit_key
from worker.core.message import Message
from worker.core.ports import Broker, Clock
from worker.core.topology import Topology
from worker.metrics import Metrics
from worker.state.claim_index import ClaimIndex
from worker.state.lane_results import LaneResults
from worker.state.stream_ledger import open_ledger

MAX_VISIT_DIGITS = 10  # digits
NONE = "there is no broker at the moment"


class CurrentBroker:
    """Publishes, claims and joins lanes through the current attachment; implements `Ledger` and `RunBroker`."""

    def __init__(self, codec: HeaderCodec, metrics: Metrics) -> None:
        self._codec = codec
        self._metrics = metrics
        self._broker: Broker | None = None
        self._ledger: Ledger | None = None
        self._clock: Clock | None = None
        self._index = ClaimIndex()
        self._joining = asyncio.Lock()  # the broker's lock belongs to a connection, which all handlers share

    @asynccontextmanager
    async def attached(self, broker: Broker, clock: Clock, *, claiming: bool) -> AsyncIterator[None]:
        """Use this attachment in the block. `claiming`: a route needs claims."""
        self._broker, self._clock = broker, clock
        try:
            if not claiming:
                yield
                return
            async with open_ledger(broker, clock, self._index, self._metrics) as self._ledger:
                yield
        finally:
            self._broker = self._ledger = None

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        """Publish as `Broker.publish`. Raises `BrokerUnreachable` at once while there is no attachment."""
        if self._broker is None:
            raise BrokerUnreachable(NONE)
        await self._broker.publish(message, routing_key=routing_key, exchange=exchange)

    async def join(self, queue: str, part: LanePart, onward: Onward) -> bool:
        if self._broker is None or self._clock is None:
            raise BrokerUnreachable(NONE)
        async with self._joining:
            return await LaneResults(self._broker, self._clock, self._codec, self._metrics, self._is_over).join(queue, part, onward)

    async def _is_over(self, key: str) -> bool:
        """Whether the visit after the iterating visit has begun. Raises `BrokerError`."""
        run, _, visit = key.rpartition(":")
        return self._ledger is not None and visit.isdecimal() and len(visit) < MAX_VISIT_DIGITS and await self._ledger.knows(visit_key(run, int(visit) + 1))

    async def declare(self, topology: Topology) -> None:
        """Declare as `Broker.declare`. Raises `BrokerUnreachable` at once while there is no attachment."""
        if self._broker is None:
            raise BrokerUnreachable(NONE)
        await self._broker.declare(topology)

    async def claim(self, key: Key, owner: str) -> Claim:
        if self._ledger is None:
            raise ChannelLost(NONE)
        return await self._ledger.claim(key, owner)

    async def knows(self, key: Key, *, within: float = 0.0) -> bool:
        if self._ledger is None:
            raise ChannelLost(NONE)
        return await self._ledger.knows(key, within=within)

    async def claimed_at(self, key: Key) -> float | None:
        if self._ledger is None:
            raise ChannelLost(NONE)
        return await self._ledger.claimed_at(key)
