"""Wire the echo guard: record the writes of some clients, and filter the changes of some subscribers. It does nothing where no route needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from worker.config.routes import Routes, Subscriber
from worker.core.ports import Broker, Clock, Halo
from worker.core.topology import Topology, echoes_topology
from worker.flows.echoes.guard import drops_echoes, guarded_resources
from worker.flows.echoes.recording import WriteRecordingHalo
from worker.metrics import Metrics
from worker.state.write_notices import WriteNotices


class EchoGuard:
    def __init__(self, routes: Routes, clock: Clock, metrics: Metrics) -> None:
        self._guarded = guarded_resources(routes)
        self._notices = WriteNotices(clock, metrics)

    @property
    def topology(self) -> Topology:
        return echoes_topology() if self._guarded else Topology()

    @asynccontextmanager
    async def attached(self, broker: Broker) -> AsyncIterator[None]:
        """Read and publish write notices through this attachment."""
        if not self._guarded:
            yield
            return
        async with self._notices.attached(broker):
            yield

    def recording(self, clients: Mapping[str, Halo]) -> dict[str, Halo]:
        """The clients for routes that write."""
        return {name: WriteRecordingHalo(halo, self._guarded[name], self._notices) if name in self._guarded else halo for name, halo in clients.items()}

    def notices_for(self, route: Subscriber) -> WriteNotices | None:
        """Return the write notices for a subscriber that drops echoes; None for any other subscriber."""
        return self._notices if drops_echoes(route) and route.operation.id_space in self._guarded.get(route.client, ()) else None
