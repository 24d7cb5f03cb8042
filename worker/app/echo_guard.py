"""The echo guard of a service: which clients' writes are told, and which subscribers ask whose a change is. Nothing of it is there where no route needs it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from worker.config.routes import Routes, Subscriber
from worker.core.ports import Broker, Clock, Halo
from worker.core.topology import Topology, echoes_topology
from worker.flows.echoes.guard import guarded, minds
from worker.flows.echoes.recording import WriteRecordingHalo
from worker.metrics import Metrics
from worker.state.write_notices import WriteNotices


class EchoGuard:
    def __init__(self, routes: Routes, clock: Clock, metrics: Metrics) -> None:
        self._guarded = guarded(routes)
        self._echoes = WriteNotices(clock, metrics)

    @property
    def topology(self) -> Topology:
        return echoes_topology() if self._guarded else Topology()

    @asynccontextmanager
    async def attached(self, broker: Broker) -> AsyncIterator[None]:
        """While this attachment lasts."""
        if not self._guarded:
            yield
            return
        async with self._echoes.attached(broker):
            yield

    def recording(self, clients: Mapping[str, Halo]) -> dict[str, Halo]:
        """The clients as those that write should use them."""
        return {name: WriteRecordingHalo(halo, self._guarded[name], self._echoes) if name in self._guarded else halo for name, halo in clients.items()}

    def echoes_for(self, route: Subscriber) -> WriteNotices | None:
        """What tells the subscriber our own writes; None where it hears of all."""
        return self._echoes if minds(route) and route.operation.resource in self._guarded.get(route.client, ()) else None
