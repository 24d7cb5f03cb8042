"""The service: serves the flows over one broker attachment after the other, and begins again when the broker is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field

import structlog

from worker.app.clients import Reload, lookup_evaluators, open_clients
from worker.app.echo_guard import EchoGuard
from worker.app.permits import PermitRegistry
from worker.app.wiring import Flow, Wiring
from worker.broker.memory import MemoryServer
from worker.broker.open import open_broker
from worker.config.routes import Routes
from worker.core.clock import SystemClock
from worker.core.entropy import uniform
from worker.core.errors import BrokerError, BrokerUnreachable, ChannelLost, TopologyMismatch
from worker.core.header_codec import HeaderCodec
from worker.core.health import Health
from worker.core.ports import Broker, Clock, Evaluator, Halo
from worker.core.topology import Topology, common_topology, retry_topology, trace_topology, union
from worker.core.trace import NO_TRACE
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.flows.consuming.memory import Memory, Receipts
from worker.flows.consuming.returning import Returner
from worker.flows.hooks.delivery_intake import DeliveryIntake
from worker.flows.hooks.effects import webhook_topology
from worker.flows.lookups.evaluator import LookupEvaluator
from worker.flows.ordered.consumer import tell_all_left_behind
from worker.flows.waiting import race
from worker.integrations.caller import IntegrationCaller, open_caller
from worker.metrics import Metrics
from worker.settings import Settings
from worker.state.current_broker import CurrentBroker
from worker.state.keys import shared_key
from worker.state.trace_stream import TraceRecorder
from worker.web.public import Peers, endpoints_of, serve_public

logger = structlog.get_logger()
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
FLOW_PAUSE = 5.0
WATCH_EVERY = 5.0


@dataclass(slots=True)
class Service:
    """What a running worker is made of; the parts are shared with the admin port.

    `memory`: what `memory://` attaches to. `reload`, `address`: a client's credentials, and the broker's address with its password, as their files say now.
    """

    settings: Settings
    routes: Routes
    stop: asyncio.Event
    health: Health = field(default_factory=Health)
    metrics: Metrics = field(default_factory=Metrics)
    clock: Clock = field(default_factory=SystemClock)
    memory: MemoryServer | None = None
    reload: Reload | None = None
    address: Callable[[], str] | None = None
    public_port: int | None = field(default=None, init=False)
    """The port of webhooks and endpoints while it is open."""
    _current: CurrentBroker = field(init=False)
    _codec: HeaderCodec = field(default_factory=HeaderCodec, init=False)
    _closed: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _permits: PermitRegistry = field(init=False)
    _guard: EchoGuard = field(init=False)
    _tracer: TraceRecorder | None = field(init=False)

    def __post_init__(self) -> None:
        self._permits = PermitRegistry(self.clock, self.metrics)
        self._current = CurrentBroker(self.metrics)
        self._guard = EchoGuard(self.routes, self.clock, self.metrics)
        self._tracer = TraceRecorder(self.clock, self.metrics) if self.settings.trace else None

    async def run(self) -> None:
        """Serve until `stop`, waiting for whatever is away. Raises `TopologyMismatch` when the broker's queues do not fit at the start."""
        for name in ("broker", "topology"):
            self.health.expect(name)
        async with AsyncExitStack() as stack:
            opened = open_evaluator(Limits(self.settings.expression_memory), self.metrics, self.health)
            engine = await stack.enter_async_context(opened)
            evaluator = LookupEvaluator(engine, self.routes.tables)
            opening = open_clients(self.routes, self.settings, self.metrics, self.health, self.clock, reload=self.reload, permits=self._permits.of)
            clients = await stack.enter_async_context(opening)
            caller = await stack.enter_async_context(open_caller(self.routes.integrations, clients, evaluator, self.metrics, self.clock))
            public = await stack.enter_async_context(self._public(evaluator))
            async with asyncio.TaskGroup() as tasks:  # handlers live here: they outlast the broker's connections
                letting_go = tasks.create_task(self._let_go(public, [*clients.values(), caller]))
                wiring = Wiring(
                    self.routes,
                    self.settings,
                    clients,
                    caller,
                    self._current,
                    evaluator,
                    lookup_evaluators(engine, self.routes, clients, self.clock),
                    self._guard,
                    self._codec,
                    self._memory(),
                    self.clock,
                    self.metrics,
                    self.health,
                    tasks,
                    self._tracer or NO_TRACE,
                )
                misfit = await self._attachments([*wiring.flows(), *self._returning()])
                letting_go.cancel()
        if misfit is not None:
            raise misfit

    def _returning(self) -> list[Flow]:
        """What returns copies from the retry queues; nothing where no route takes messages."""
        if not (self.routes.publishers or self.routes.runbooks):
            return []
        returner = Returner(self.clock, self.health)
        self.health.expect(returner.part)
        return [Flow(returner.part, retry_topology(()), returner.serve)]

    def _memory(self) -> Memory:
        rooms = sum(publisher.order_by is not None for publisher in self.routes.publishers.values())
        return Memory(Receipts(self._current), self.metrics, largest=self.settings.max_message, in_flight=self.settings.in_flight, rooms=rooms)

    async def _let_go(self, public: AsyncExitStack, senders: Iterable[Halo | IntegrationCaller]) -> None:
        """When the worker stops: what only waits for its turn goes back to its queue unsent, and the public port closes while there is a broker for the calls in hand."""
        await self.stop.wait()
        for sender in senders:
            sender.stop_waiting()
        await public.aclose()
        self._closed.set()

    @asynccontextmanager
    async def _public(self, evaluator: Evaluator) -> AsyncIterator[AsyncExitStack]:
        """The public port, open until the stack is closed; nothing where no route needs it. Raises `WorkerError` when it cannot listen."""
        async with AsyncExitStack() as opened:
            if endpoints := endpoints_of(self.routes.runbooks, self.routes.webhooks):
                reception = DeliveryIntake(self.routes.webhooks, self._current, evaluator, self.clock, self.metrics)
                peers = Peers(self.settings.public_proxies, self.settings.public_peer_connections)
                serving = serve_public(self.settings.public_host, self.settings.public_port, endpoints, reception.receive, self.metrics, peers)
                self.public_port = await opened.enter_async_context(serving)
            yield opened

    def _shared_topology(self) -> Topology:
        shared = common_topology() + self._permits.topology + self._guard.topology + (Topology() if self._tracer is None else trace_topology())
        return sum((webhook_topology(hook) for hook in self.routes.webhooks.values()), start=shared)

    async def _attachments(self, flows: list[Flow]) -> TopologyMismatch | None:
        """One broker attachment after the other until `stop`, with growing pauses while there is none; returns at once what does not fit at the start."""
        pause, first = FIRST_PAUSE, True
        while not self.stop.is_set():
            try:
                async with self._attached() as broker:
                    pause = FIRST_PAUSE
                    await self._serve(broker, flows)
                    first = False
            except TopologyMismatch as error:
                self.health.down("topology", str(error))
                logger.error("topology.mismatch", reason=str(error))
                if first:
                    return error
            except BrokerUnreachable as error:
                self._lost("broker.unreachable", str(error), flows)
            except BrokerError as error:
                first = False
                self._lost("broker.lost", str(error), flows)
            if not self.stop.is_set():
                await race(self.stop.wait(), timeout=pause * uniform(0.5, 1.0))
                pause = min(LONGEST_PAUSE, pause * 2)
        return None

    def _lost(self, event: str, reason: str, flows: list[Flow]) -> None:
        self.health.down("broker", reason)
        for part in {flow.part for flow in flows}:
            if self.health.parts[part].ok:
                self.health.down(part, "waiting for the broker")
        self.metrics.broker_up.set(0)
        logger.warning(event, reason=reason)

    @asynccontextmanager
    async def _attached(self) -> AsyncIterator[Broker]:
        url = self.settings.amqp_url.get_secret_value() if self.address is None else self.address()
        async with open_broker(url, name=f"halo-worker {self.settings.instance}", server=self.memory, heartbeat=self.settings.heartbeat) as broker:
            self.health.up("broker", "attached")
            self.metrics.broker_up.set(1)
            logger.info("broker.attached")
            yield broker

    async def _serve(self, broker: Broker, flows: list[Flow]) -> None:
        """Serve all flows until they have drained after `stop`, or raise `BrokerError` when the attachment is lost."""
        await broker.declare(union([self._shared_topology(), *(flow.topology for flow in flows)]))
        self._codec.key = await shared_key(broker, self.clock)
        self.health.up("topology", "as declared")
        claiming = bool(self.routes.publishers or self.routes.runbooks or self.routes.webhooks)
        try:
            async with (
                self._current.attached(broker, self.clock, claiming=claiming),
                self._guard.attached(broker),
                self._traced(broker),
                asyncio.TaskGroup() as group,
            ):
                background = [group.create_task(self._watch(broker)), group.create_task(self._permits.serve(broker))]
                background.append(group.create_task(tell_all_left_behind(self.routes.publishers.values(), broker)))
                async with asyncio.TaskGroup() as serving:
                    for flow in flows:
                        serving.create_task(self._keep_serving(flow, broker))
                    serving.create_task(self._closed.wait())
                for task in background:
                    task.cancel()
        except* BrokerError as lost:
            raise ChannelLost(reason_of(lost)) from None

    def _traced(self, broker: Broker) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._tracer is None else self._tracer.attached(broker)

    async def _watch(self, broker: Broker) -> None:
        """Raises `ChannelLost` when the attachment is lost; meanwhile readiness tells whether the broker lets us publish."""
        while (reason := await race(broker.wait_lost(), timeout=WATCH_EVERY)) is None:
            if broker.blocked:
                self.health.down("broker", broker.blocked)
            else:
                self.health.up("broker", "attached")
        raise ChannelLost(reason)

    async def _keep_serving(self, flow: Flow, broker: Broker) -> None:
        """Restarts a flow whose own queues fail; the other flows continue."""
        while not self.stop.is_set():
            try:
                await flow.serve(broker, self.stop)
                if not self.stop.is_set():
                    await broker.declare(flow.topology)
            except BrokerError as error:
                if broker.lost:
                    raise
                self.health.down(flow.part, str(error))
                logger.error("flow.interrupted", part=flow.part, reason=str(error), again_in_s=FLOW_PAUSE)
                await race(self.stop.wait(), timeout=FLOW_PAUSE)
                await self._restore(flow, broker)

    async def _restore(self, flow: Flow, broker: Broker) -> None:
        try:
            await broker.declare(flow.topology)
        except TopologyMismatch as error:
            logger.error("topology.mismatch", part=flow.part, reason=str(error))


def reason_of(group: BaseExceptionGroup[BrokerError]) -> str:
    """The first sentence in a group of failures."""
    first = group.exceptions[0]
    return reason_of(first) if isinstance(first, BaseExceptionGroup) else str(first)
