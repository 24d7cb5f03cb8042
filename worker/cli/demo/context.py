"""The systems of the demo: the simulated Halo, the worker, and another system that receives events and sends messages."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import uuid4

import orjson

from worker.app import Service
from worker.broker.memory import MemoryServer
from worker.broker.open import open_broker
from worker.cli.demo.routes import DEMO_REQUESTS, sample_routes, with_larger_budget, with_prefix
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Channel
from worker.core.topology import AmqpExchange, Topology, baton_topology, bootstrap_marker, browsable_queue, dead_queue, subscriber_dead_queue
from worker.flows.polling.subscriber import subscriber_topology
from worker.flows.running.starting import runbook_topology
from worker.flows.writes.publisher import publisher_topology
from worker.sandbox.fake_completions_api import serve_completions
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.settings import Settings

DEMO_TICKETS = 250


@dataclass
class DemoContext:
    """`events`: counts of events that the other system received, by queue. `keys`: counts of their dedupe keys, which show duplicates."""

    halo: SimulatedHalo
    service: Service
    broker: Broker
    prefix: str
    events: Counter[str] = field(default_factory=Counter)
    keys: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    acks: set[asyncio.Future[None]] = field(default_factory=set)

    async def send(self, queue: str, document: Any) -> None:
        """Send a message of the other system: bytes as they are, other values as JSON."""
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        await self.broker.publish(Message(body, message_id=uuid4().hex), routing_key=self.prefix + queue)
        self.sent[queue] += 1

    def results(self) -> Mapping[str, int]:
        """Counts of messages, by result."""
        counts: Counter[str] = Counter()
        for name in self.service.routes.publishers:
            for result in ("done", "skipped", "retried", "dead_decode"):
                counts[result] += int(self.service.metrics.messages.labels(name, result)._value.get())  # noqa: SLF001 - the client library offers no reading
        return counts

    async def listen(self, channel: Channel) -> None:
        for route in self.service.routes.subscribers.values():
            if route.queue is not None:
                await channel.consume(route.queue, partial(self._receive, route.queue.removeprefix(self.prefix)))

    def _receive(self, queue: str, delivery: Delivery) -> None:
        self.events[queue] += 1
        self.keys[str(delivery.message.headers["dedupe-key"])] += 1
        self.acks.add(task := asyncio.ensure_future(delivery.ack()))
        task.add_done_callback(self.acks.discard)

    async def dead_letter(self, queue: str) -> Delivery | None:
        """Read one dead letter, which stays in its queue."""
        async with self.broker.channel() as channel:
            return await channel.get(dead_queue(self.prefix + queue))

    def own_topology(self) -> Topology:
        """The queues and exchanges that only the demo uses."""
        routes = self.service.routes
        whole = Topology()
        for route in routes.subscribers.values():
            names = [bootstrap_marker(route.name), subscriber_dead_queue(route.name), *([route.queue] if route.queue else [])]
            whole += baton_topology(route.name) + Topology((AmqpExchange(route.exchange),), tuple(browsable_queue(name) for name in names))
        for publisher in routes.publishers.values():
            whole += publisher_topology(publisher)
        for runbook in routes.runbooks.values():
            whole += runbook_topology(runbook)
        return whole


@asynccontextmanager
async def open_demo(settings: Settings, *, embedded: bool) -> AsyncIterator[DemoContext]:
    """Runs everything until the end of the block; then deletes from a real broker what the demo declared."""
    server = MemoryServer()
    url = settings.amqp_url.get_secret_value()
    prefix = "" if embedded else f"demo-{uuid4().hex[:6]}."
    async with (
        serve(SandboxSettings(tickets=DEMO_TICKETS, rate_limit=DEMO_REQUESTS)) as halo,
        serve_completions() as completions,
        open_broker(url, name="halo-worker demo", server=server) as broker,
    ):
        routes = with_prefix(with_larger_budget(sample_routes(halo, completions)), prefix)
        stop = asyncio.Event()
        service = Service(settings, routes, stop, memory=server if embedded else None)
        context = DemoContext(halo, service, broker, prefix)
        for route in routes.subscribers.values():
            await broker.declare(subscriber_topology(route))
        async with broker.channel(prefetch=100) as channel:
            await context.listen(channel)
            running = asyncio.create_task(service.run())
            try:
                yield context
            finally:
                stop.set()
                await running
        if not embedded:
            await broker.delete(context.own_topology())
