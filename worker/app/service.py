"""The service: serves the flows over one broker attachment after the other, and attaches again when the broker is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field

import structlog

from worker.app.attachments import Attachments
from worker.app.clients import Reload, lookup_evaluators, open_clients
from worker.app.echo_guard import EchoGuard
from worker.app.flow_supervisor import FlowSupervisor, report_pauses
from worker.app.live_routes import LiveRoutes, PublicServer
from worker.app.on_demand_broker import DirectReplies
from worker.app.page.history import History
from worker.app.permits import PermitRegistry
from worker.app.reporter import Reporter
from worker.app.shared_parts import changed_names, queues_closed_to_replies, replaceable_parts_changed, route_names, shared_parts_of
from worker.app.wiring import Flow, Wiring
from worker.broker.memory import MemoryServer
from worker.config.routes import Routes
from worker.core.clock import SystemClock
from worker.core.errors import BrokerError, BrokerUnreachable, ChannelLost, TopologyMismatch, reason_of
from worker.core.header_codec import HeaderCodec
from worker.core.health import Health
from worker.core.pauses import Pauses
from worker.core.ports import Broker, Clock, Evaluator, Halo
from worker.core.repeats import Repeats
from worker.core.topology import Topology, common_topology, retry_topology, trace_topology, union
from worker.core.trace import NO_TRACE
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.flows.consuming.memory import Memory, Receipts
from worker.flows.consuming.returning import Returner
from worker.flows.consuming.services import ConsumerServices
from worker.flows.hooks.delivery_intake import DeliveryIntake
from worker.flows.hooks.effects import webhook_topology
from worker.flows.lookups.evaluator import LookupEvaluator
from worker.flows.ordered.consumer import log_all_left_behind
from worker.flows.waiting import race
from worker.garbage import look_everywhere
from worker.integrations.caller import IntegrationCaller, open_caller
from worker.metrics import Metrics
from worker.settings import Settings
from worker.state.current_broker import CurrentBroker
from worker.state.keys import shared_key
from worker.state.route_control import RouteControl
from worker.state.trace_stream import TraceRecorder

logger = structlog.get_logger()
WATCH_EVERY = 5.0


@dataclass(slots=True)
class Service:
    """A running worker; it shares its parts with the admin port.

    `memory`: the server that `memory://` attaches to. `reload`, `address`: return a client's credentials, and the broker's address with its password,
    from their files as they are now.
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
    _closed: asyncio.Event = field(init=False)
    _ending: asyncio.Event = field(init=False)
    """Set when the present routes have to end: with `stop`, or for other routes."""
    _live: LiveRoutes | None = field(default=None, init=False)
    _next: Routes | None = field(default=None, init=False)
    _routes_lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _permits: PermitRegistry = field(init=False)
    _guard: EchoGuard = field(init=False)
    problems: tuple[str, ...] = ()
    """Mistakes in route files that this worker does not run."""
    _since: float = field(init=False)
    _repeats: Repeats = field(default_factory=Repeats, init=False)
    _attachment_opener: Attachments = field(init=False)
    control: RouteControl = field(init=False)
    history: History = field(init=False)
    _tracer: TraceRecorder | None = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.clock.now()
        self.control = RouteControl(self.clock, self.metrics, self._report_pauses)
        self.history = History(self.clock)
        self._current = CurrentBroker(self._codec, self.metrics)
        self._attachment_opener = Attachments(self.settings, self.address, self.memory, self.health, self.metrics)
        self._tracer = TraceRecorder(self._codec, self.clock, self.metrics) if self.settings.trace else None

    async def run(self) -> None:
        """Serve until `stop`, and wait for any system that is unavailable. Raises `TopologyMismatch` when the broker's queues do not fit at the start."""
        async with open_evaluator(Limits(self.settings.expression_memory), self.metrics, self.health) as engine:
            kept = self.health.parts
            while True:
                misfit = await self._generation(engine)
                if misfit is not None:
                    raise misfit
                if self._next is None or self.stop.is_set():
                    return
                self.routes, self._next = self._next, None
                self.health.forget_all(kept)

    async def apply_routes(self, routes: Routes, problems: Sequence[str] = ()) -> None:
        """Run these routes from now on. Changed routes finish what they have in flight and start again; other routes continue.

        A change of clients, and the first or last route of a kind, restart all routes.
        """
        async with self._routes_lock:
            self.report_problems(problems)
            live, changed, same_shape = self._live, changed_names(self.routes, routes), shared_parts_of(self.routes) == shared_parts_of(routes)
            if not changed and same_shape and not replaceable_parts_changed(self.routes, routes):
                return
            logger.info("routes.changed", routes=sorted(changed), all_begin_again=live is None or not same_shape)
            for name in changed - route_names(routes):
                self.metrics.forget_route(name)
            if live is None or not same_shape:
                self._next = routes
                self._ending.set()
                return
            await live.replace(routes, changed)
            self.routes = routes

    def report_problems(self, problems: Sequence[str]) -> None:
        """Show in `status` and in the metric the mistakes in route files that do not run."""
        self.problems = tuple(problems)
        self.metrics.route_problems.set(len(self.problems))

    async def _generation(self, engine: Evaluator) -> TopologyMismatch | None:
        """Serve one shape of routes, until `stop` or until the routes get another shape. Return what does not fit at the start."""
        self._ending, self._closed = asyncio.Event(), asyncio.Event()
        self._permits, self._guard = PermitRegistry(self.clock, self.metrics), EchoGuard(self.routes, self.clock, self.metrics)
        self.report_problems(self.problems)
        report_pauses(self.metrics, route_names(self.routes), None, self.control.pauses)
        self.health.expect("broker")
        self.health.expect("topology")
        async with AsyncExitStack() as stack:
            evaluator = LookupEvaluator(engine, self.routes.tables)
            opening = open_clients(self.routes, self.settings, self.metrics, self.health, self.clock, reload=self.reload, permits=self._permits.of)
            clients = await stack.enter_async_context(opening)
            caller = await stack.enter_async_context(open_caller(self.routes.integrations, clients, evaluator, self.metrics, self.clock))
            intake = DeliveryIntake(self.routes.webhooks, self._current, evaluator, self.clock, self.metrics, self._is_paused)
            public = await stack.enter_async_context(AsyncExitStack())
            public_server = PublicServer(self.settings, intake, self.metrics, public)
            await public_server.serve(self.routes)
            self.public_port = public_server.port
            async with asyncio.TaskGroup() as tasks:  # handlers live here: they outlast the broker's connections
                replies = DirectReplies(lambda: self.attach(f"halo-worker {self.settings.instance} replies"), self.clock)
                helping = [
                    tasks.create_task(each) for each in (self._end_with_stop(), self._drain_requests(public, [*clients.values(), caller]), replies.serve())
                ]
                evaluators = lookup_evaluators(engine, self.routes, clients, self.clock)
                services = ConsumerServices(self._codec, self._memory(), self.clock, self.metrics, self.health, tasks, self._tracer or NO_TRACE)
                parts = (evaluator, evaluators, self._guard, intake, services, self._hide, replies, queues_closed_to_replies(self.routes))
                wiring = Wiring(self.routes, self.settings, clients, caller, self._current, *parts)
                supervisor = FlowSupervisor([*wiring.flows(), *self._return_flows()], self.control, self.health, self._ending)
                self._live = LiveRoutes(wiring, supervisor, public_server, caller, [evaluator, *evaluators.values()])
                try:
                    return await self._attachments(supervisor)
                finally:
                    self._live = None
                    for task in helping:
                        task.cancel()

    def _hide(self, text: str) -> str:
        """Return the text without the secrets of the present routes."""
        known = self.routes.secrets
        return known.hide(text)

    async def _end_with_stop(self) -> None:
        await self.stop.wait()
        self._ending.set()

    def _return_flows(self) -> list[Flow]:
        """Return the flow that returns copies from the retry queues; empty if no route consumes messages."""
        if not (self.routes.publishers or self.routes.runbooks):
            return []
        returner = Returner(self.clock, self.health)
        self.health.expect(returner.part)
        return [Flow("", returner.part, retry_topology(()), returner.serve)]

    def _memory(self) -> Memory:
        ordered_routes = sum(publisher.has_waiting_queue for publisher in self.routes.publishers.values())
        return Memory(
            Receipts(self._current), self.metrics, largest=self.settings.max_message, in_flight=self.settings.in_flight, ordered_routes=ordered_routes
        )

    async def _drain_requests(self, public: AsyncExitStack, senders: Iterable[Halo | IntegrationCaller]) -> None:
        """When the worker stops, return messages that wait for their turn to their queue unsent, and close the public port.

        The port closes while there is still a broker for the calls in progress.
        """
        await self._ending.wait()
        for sender in senders:
            sender.stop_waiting()
        await public.aclose()
        self._closed.set()

    def _shared_topology(self) -> Topology:
        shared = common_topology() + self._permits.topology + self._guard.topology + (Topology() if self._tracer is None else trace_topology())
        return sum((webhook_topology(hook) for hook in self.routes.webhooks.values()), start=shared)

    async def _attachments(self, supervisor: FlowSupervisor) -> TopologyMismatch | None:
        """Open one broker attachment after the other until `stop`, with a growing backoff between failures. Return at once what does not fit at the start."""
        first = True
        while not self._ending.is_set():
            try:
                async with self._attachment_opener.open() as broker:
                    await self._serve(broker, supervisor)
                    first = False
            except TopologyMismatch as error:
                self.health.down("topology", str(error))
                logger.error("topology.mismatch", reason=str(error))
                if first:
                    return error
            except BrokerUnreachable as error:
                self._report_lost("broker.unreachable", str(error), supervisor.flows)
            except BrokerError as error:
                first = False
                self._attachment_opener.count_loss()
                self._report_lost("broker.lost", str(error), supervisor.flows)
            if not self._ending.is_set():
                await self._attachment_opener.wait(self._ending)
        return None

    def _report_lost(self, event: str, reason: str, flows: list[Flow]) -> None:
        look_everywhere()
        self.health.down("broker", f"{reason}; the worker connects again until it succeeds")
        for part in {flow.part for flow in flows}:
            if self.health.parts[part].ok:
                self.health.down(part, "waiting for the broker")
        self.metrics.broker_up.set(0)
        if self._repeats.due(f"{event} {reason}", self.clock.monotonic()):
            logger.warning(event, node=self._attachment_opener.node, reason=reason)

    def attach(self, name: str) -> AbstractAsyncContextManager[Broker]:
        """Open a second attachment to this worker's broker, like `open_broker`."""
        return self._attachment_opener.open_secondary(name)

    async def _serve(self, broker: Broker, supervisor: FlowSupervisor) -> None:
        """Serve all flows until they have drained after `stop`, or raise `BrokerError` when the attachment is lost."""
        await broker.declare(union([self._shared_topology(), *(flow.topology for flow in supervisor.flows)]))
        self._codec.key = await shared_key(broker, self.clock)
        self.health.up("topology", "as declared")
        self._attachment_opener.reset_backoff()
        claiming = bool(self.routes.publishers or self.routes.runbooks or self.routes.webhooks)
        try:
            async with (
                self._current.attached(broker, self.clock, claiming=claiming),
                self._guard.attached(broker),
                self._traced(broker),
                asyncio.TaskGroup() as group,
            ):
                background = [group.create_task(self._watch(broker)), group.create_task(self._permits.serve(broker))]
                background.append(group.create_task(self.control.follow(broker, self._codec.key)))
                background.append(group.create_task(self._reporter(supervisor).serve(broker, self._codec.key)))
                background.append(group.create_task(self.history.follow(broker, self._codec.key)))
                await race(self.control.wait_loaded(), self._ending.wait(), broker.wait_lost())
                background.append(group.create_task(log_all_left_behind(self.routes.publishers.values(), broker)))
                async with asyncio.TaskGroup() as serving:
                    serving.create_task(supervisor.serve(broker))
                    serving.create_task(self._closed.wait())
                for task in background:
                    task.cancel()
        except* BrokerError as lost:
            raise ChannelLost(reason_of(lost)) from None

    def _traced(self, broker: Broker) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._tracer is None else self._tracer.attached(broker)

    async def _watch(self, broker: Broker) -> None:
        """Show in readiness whether the broker accepts messages. Raises `ChannelLost` when the attachment is lost."""
        while (reason := await race(broker.wait_lost(), timeout=WATCH_EVERY)) is None:
            if broker.blocked:
                self.health.down("broker", broker.blocked)
            else:
                self.health.up("broker", "attached")
        raise ChannelLost(reason)

    def _reporter(self, supervisor: FlowSupervisor) -> Reporter:
        routes, problems = (lambda: self.routes), (lambda: self.problems)
        return Reporter(self.settings.instance, routes, problems, supervisor, self.control, self.health, self.metrics, self.clock, self._since)

    def _is_paused(self, route: str) -> bool:
        return self.control.pause_of(route) is not None

    def _report_pauses(self, before: Pauses, after: Pauses) -> None:
        report_pauses(self.metrics, route_names(self.routes), before, after)
