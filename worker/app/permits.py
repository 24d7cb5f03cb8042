"""The permits of all tenants that the routes name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from worker.config.routes import RateLimit
from worker.core.allowance import Allowance
from worker.core.permit_topology import permits_topology
from worker.core.ports import Broker, Clock
from worker.core.topology import Topology
from worker.metrics import Metrics
from worker.state.permits import SharedPermits


class PermitRegistry:
    """Makes the permits of each tenant for its budget, and serves them through the broker."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._by_tenant: dict[str, SharedPermits] = {}

    def of(self, names: Sequence[str], tenant: str, limit: RateLimit) -> SharedPermits:
        """The permits that the clients `names` of one tenant share."""
        permits = SharedPermits(names, tenant, Allowance.of(limit.requests, limit.seconds), self._clock, self._metrics)
        self._by_tenant[tenant] = permits
        return permits

    @property
    def topology(self) -> Topology:
        return sum((permits_topology(tenant) for tenant in self._by_tenant), start=Topology())

    async def serve(self, broker: Broker) -> None:
        """Serve until the attachment is lost."""
        async with asyncio.TaskGroup() as tasks:
            for permits in self._by_tenant.values():
                tasks.create_task(permits.serve(broker))
