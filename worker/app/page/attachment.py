"""The broker attachment of the status page, which also finds the key of the worker's headers."""

from __future__ import annotations

from worker.app.on_demand_broker import Attach, OnDemandBroker
from worker.core.ports import Broker, Clock
from worker.state.keys import shared_key


class PageBroker(OnDemandBroker):
    """The page's attachment. `key`: the key of the worker's headers, known after the first attachment."""

    def __init__(self, attach: Attach, clock: Clock) -> None:
        super().__init__(attach, clock)
        self.key = b""

    async def prepare(self, broker: Broker) -> None:
        self.key = await shared_key(broker, self._clock)
