"""Wires the routes: each becomes a flow that can be served through any broker attachment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import TypeVar

from worker.app.echo_guard import EchoGuard
from worker.app.on_demand_broker import DirectReplies
from worker.config.automation import Runbook, Webhook
from worker.config.method_caller import Caller
from worker.config.routes import Publisher, Routes, Subscriber
from worker.core.ports import Broker, Evaluator, Halo
from worker.core.results import ReplyRule
from worker.core.topology import Topology
from worker.flows.consuming.answering import Answer, ResultSender, no_answer
from worker.flows.consuming.availability import AllAvailable, Availability
from worker.flows.consuming.consumer import Consumer, Consumption
from worker.flows.consuming.runner import Handler
from worker.flows.consuming.services import ConsumerServices
from worker.flows.hooks.delivery_intake import DeliveryIntake
from worker.flows.hooks.effects import webhook_topology
from worker.flows.hooks.held_deliveries import HeldDeliveries, held_topology
from worker.flows.hooks.poll_trigger import PollTrigger, wake_topology
from worker.flows.ordered.consumer import OrderedConsumer, ordered_publisher_topology
from worker.flows.polling.answer_cache import AnswerCache
from worker.flows.polling.subscriber import SubscriberFlow, subscriber_topology
from worker.flows.running.runbook import RunbookFlow
from worker.flows.running.schedule import ScheduleFlow, schedule_topology
from worker.flows.running.starting import Starter, runbook_topology, start_consumption, step_consumption
from worker.flows.running.step import StepExecutor, clients_of
from worker.flows.writes.publisher import PublisherFlow, consumption_of, publisher_topology
from worker.settings import Settings
from worker.state.current_broker import CurrentBroker

R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """One running route: its name and its name in readiness, what it needs of the broker, and how to serve it through one attachment."""

    route: str
    part: str
    topology: Topology
    serve: Callable[[Broker, asyncio.Event], Awaitable[None]]
    retired: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a changed route file replaces or removes the route."""


@dataclass(frozen=True, slots=True)
class Wiring:
    """The parts that flows need.

    `evaluators`: by client, for expressions that may ask it for ids; `hide`: masks secrets in a text; `replies`: publishes direct replies.

    `closed_to_replies`: queues that no sender may name for results. All routes share this one set: it grows with their number.
    """

    routes: Routes
    settings: Settings
    clients: Mapping[str, Halo]
    caller: Caller
    current: CurrentBroker
    evaluator: Evaluator
    evaluators: Mapping[str, Evaluator]
    guard: EchoGuard
    intake: DeliveryIntake
    services: ConsumerServices
    hide: Callable[[str], str]
    replies: DirectReplies
    closed_to_replies: frozenset[str]
    shared: AnswerCache = field(default_factory=lambda: AnswerCache(monotonic))
    """The reads that subscribers of this replica share."""

    def flows(self, names: Collection[str] | None = None) -> list[Flow]:
        """Return the flows of these routes (None: of all), each expected in readiness."""
        made = [self._subscriber(route) for route in selected_routes(self.routes.subscribers, names)]
        made += [self._publisher(route) for route in selected_routes(self.routes.publishers, names)]
        for runbook in selected_routes(self.routes.runbooks, names):
            made += self._runbook(runbook)
        made += [self._held(hook) for hook in selected_routes(self.routes.webhooks, names)]
        woken = {hook.wake.subscriber for hook in self.routes.webhooks.values() if hook.wake is not None}
        made += [self._waking(name) for name in sorted(woken) if names is None or name in names]
        for flow in made:
            self.services.health.expect(flow.part)
        return made

    def _subscriber(self, route: Subscriber) -> Flow:
        echoes = self.guard.notices_for(route)
        halo, limit = self.clients[route.client], self.settings.turn
        evaluator = self.evaluators[route.client]
        flow = SubscriberFlow(
            route,
            halo,
            evaluator,
            self.services.clock,
            self.services.metrics,
            self.services.health,
            turn_limit=limit,
            echoes=echoes,
            tracer=self.services.tracer,
            shared=self.shared,
        )
        return Flow(route.name, flow.part, subscriber_topology(route), flow.serve)

    def _publisher(self, route: Publisher) -> Flow:
        halo = self.guard.recording(self.clients)[route.client]
        flow = PublisherFlow(route, halo, self.current, self.evaluators[route.client], self.services.clock, self.services.tracer)
        what, handler = consumption_of(route), flow.handle
        if not route.has_waiting_queue:
            return self._consumer(what, handler, halo, publisher_topology(route), self._answer(route))
        ordered = OrderedConsumer(route, handler, halo, self.evaluator, self.services, self._answer(route))
        return Flow(route.name, what.part, ordered_publisher_topology(route), ordered.serve)

    def _answer(self, route: Publisher) -> Answer:
        rule = ReplyRule(route.reply_to, self.closed_to_replies)
        return ResultSender(route.name, route.result, rule, self.current, self.replies.publish, self.services.clock, self.services.metrics).send

    def _runbook(self, runbook: Runbook) -> list[Flow]:
        used = clients_of(runbook, self.routes.integrations)
        needs = AllAvailable([self.clients[name] for name in sorted(used)])
        step_executor = StepExecutor(self.caller, self.guard.recording(self.clients), self.evaluators)
        steps = RunbookFlow(runbook, step_executor, self.current, self.evaluator, self.services.clock, self.hide, self.services.tracer, broker=self.current)
        topology = runbook_topology(runbook)
        flows = [self._consumer(step_consumption(runbook), steps.handle, needs, topology)]
        if runbook.queue is not None:
            flows.append(self._consumer(start_consumption(runbook, runbook.queue), Starter(runbook, self.services.clock).handle, AllAvailable([]), topology))
        if runbook.schedule is not None:
            schedule = ScheduleFlow(runbook, runbook.schedule, self.services.clock, self.services.metrics, self.services.health)
            flows.append(Flow(runbook.name, schedule.part, topology + schedule_topology(runbook), schedule.serve))
        return flows

    def _held(self, hook: Webhook) -> Flow:
        held = HeldDeliveries(hook.name, self.intake, self.services.clock, self.services.health)
        return Flow(hook.name, held.part, webhook_topology(hook) + held_topology(hook.name), held.serve)

    def _waking(self, subscriber: str) -> Flow:
        """Return the flow that wakes a subscriber. It pauses with the subscriber: no replica takes the subscriber's baton meanwhile."""
        waking = PollTrigger(subscriber, self.services.clock, self.services.metrics, self.services.health)
        return Flow(subscriber, waking.part, wake_topology(subscriber), waking.serve)

    def _consumer(self, what: Consumption, handler: Handler, needs: Availability, topology: Topology, answer: Answer = no_answer) -> Flow:
        return Flow(what.route, what.part, topology, Consumer(what, handler, needs, self.services, answer).serve)


def selected_routes(routes: Mapping[str, R], names: Collection[str] | None) -> list[R]:
    """Return the routes of these names. The caller makes no other flows: a reload of one route must not cost as much as a reload of all."""
    return list(routes.values()) if names is None else [routes[name] for name in routes if name in names]
