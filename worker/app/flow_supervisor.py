"""Serves flows through one broker attachment: paused flows wait, retired flows end, failed flows start again, and the others continue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from time import monotonic

import structlog

from worker.app.wiring import Flow
from worker.core.errors import BrokerError, ChannelLost, TopologyMismatch
from worker.core.health import Health
from worker.core.pauses import Pauses, pause_sentence
from worker.core.ports import Broker
from worker.core.repeats import Repeats
from worker.flows.waiting import race
from worker.metrics import Metrics
from worker.state.route_control import RouteControl

logger = structlog.get_logger()
RESTART_DELAY = 5.0


class FlowSupervisor:
    """Serves `flows`; `replace` changes them at run time."""

    def __init__(self, flows: Iterable[Flow], control: RouteControl, health: Health, stop: asyncio.Event) -> None:
        self.flows = list(flows)
        self._control = control
        self._health = health
        self._stop = stop
        self._serving: dict[Flow, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._repeats = Repeats()

    async def serve(self, broker: Broker) -> None:
        """Serve until all flows have drained after `stop`. Raises `BrokerError`, in a group, when the attachment is lost."""
        try:
            declared = set(self.flows)
            async with asyncio.TaskGroup() as serving:
                while not self._stop.is_set():
                    self._changed.clear()
                    for flow in self.flows:
                        if flow not in self._serving:
                            self._serving[flow] = serving.create_task(self._supervise(flow, broker, declare=flow not in declared))
                    await race(self._stop.wait(), self._changed.wait())
        finally:
            self._serving.clear()

    async def replace(self, retired: Iterable[Flow], begun: Iterable[Flow]) -> None:
        """Let the retired flows finish what they have in flight, then start the new ones. All other flows continue."""
        gone = list(retired)
        self.flows = [flow for flow in self.flows if flow not in gone]
        for flow in gone:
            flow.retired.set()
        if ending := [task for flow in gone if (task := self._serving.get(flow)) is not None]:
            await asyncio.wait(ending)
        for flow in gone:
            self._serving.pop(flow, None)
        self.flows += begun
        self._changed.set()

    async def _supervise(self, flow: Flow, broker: Broker, *, declare: bool) -> None:
        """Serve a flow until `stop` or its retirement. A flow whose own queues fail starts again."""
        while not self._stop.is_set() and not flow.retired.is_set():
            if (pause := self._control.pause_of(flow.route)) is not None:
                self._health.up(flow.part, pause_sentence(pause))
                lost = await race(self._control.wait_resumed(flow.route), self._stop.wait(), flow.retired.wait(), broker.wait_lost())
                if isinstance(lost, str):
                    raise ChannelLost(lost)
                continue
            try:
                if declare:
                    await broker.declare(flow.topology)
                    declare = False
                async with self._stop_event(flow) as halt:
                    await flow.serve(broker, halt)
                if not halt.is_set():
                    await broker.declare(flow.topology)
            except BrokerError as error:
                if broker.lost:
                    raise
                self._health.down(flow.part, str(error))
                if self._repeats.due(f"{flow.part}: {error}", monotonic()):
                    logger.error("flow.interrupted", part=flow.part, reason=str(error), again_in_s=RESTART_DELAY)
                await race(self._stop.wait(), flow.retired.wait(), timeout=RESTART_DELAY)
                await self._redeclare(flow, broker)

    @asynccontextmanager
    async def _stop_event(self, flow: Flow) -> AsyncIterator[asyncio.Event]:
        """Yield the event that ends one stretch of a flow: the worker stops, or the route is paused or retired."""
        halt = asyncio.Event()

        async def watch() -> None:
            await race(self._stop.wait(), self._control.wait_paused(flow.route), flow.retired.wait())
            halt.set()

        watching = asyncio.create_task(watch(), name=f"halt of {flow.part}")
        try:
            yield halt
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _redeclare(self, flow: Flow, broker: Broker) -> None:
        try:
            await broker.declare(flow.topology)
        except TopologyMismatch as error:
            logger.error("topology.mismatch", part=flow.part, reason=str(error))


def report_pauses(metrics: Metrics, names: Iterable[str], before: Pauses | None, after: Pauses) -> None:
    """Show in the metric which of these routes an operator has paused, and log what differs from `before`."""
    for name in names:
        metrics.paused.labels(name).set(name in after.routes)
    if before is None:
        return
    for name in sorted(set(names) & (after.routes.keys() ^ before.routes.keys())):
        pause = after.routes.get(name)
        if pause is not None:
            logger.warning("route.paused", route=name, by=pause.by, reason=pause.reason)
        else:
            logger.warning("route.resumed", route=name)
