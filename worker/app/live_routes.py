"""The routes that the worker serves now: it replaces changed routes while the others continue."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from worker.app.flow_supervisor import FlowSupervisor
from worker.app.wiring import Wiring
from worker.config.routes import Routes
from worker.flows.hooks.delivery_intake import DeliveryIntake
from worker.flows.lookups.evaluator import LookupEvaluator
from worker.integrations.caller import IntegrationCaller
from worker.metrics import Metrics
from worker.settings import Settings
from worker.web.authentication import Authenticator
from worker.web.public import PeerLimits, endpoints_of, serve_public


class PublicServer:
    """The public port: open from the first route that needs it until `opened` closes. `port`: None while it is not open."""

    def __init__(self, settings: Settings, intake: DeliveryIntake, metrics: Metrics, opened: AsyncExitStack) -> None:
        self._settings = settings
        self._intake = intake
        self._metrics = metrics
        self._opened = opened
        self._authenticator = Authenticator({})
        self.port: int | None = None

    async def serve(self, routes: Routes) -> None:
        """Take calls for these routes from now on. Raises `WorkerError` when it cannot listen."""
        endpoints = endpoints_of(routes.runbooks, routes.webhooks)
        self._authenticator.replace(endpoints)
        self._intake.replace(routes.webhooks)
        if endpoints and self.port is None:
            settings = self._settings
            peers = PeerLimits(settings.public_proxies, settings.public_peer_connections)
            serving = serve_public(settings.public_host, settings.public_port, self._authenticator, self._intake.receive, self._metrics, peers)
            self.port = await self._opened.enter_async_context(serving)


@dataclass(slots=True)
class LiveRoutes:
    wiring: Wiring
    supervisor: FlowSupervisor
    public_server: PublicServer
    caller: IntegrationCaller
    lookups: Sequence[LookupEvaluator]
    """All evaluators whose expressions read tables."""

    async def replace(self, routes: Routes, changed: Collection[str]) -> None:
        """Serve `routes`, which have the same shape. Flows of the `changed` routes drain, then start again if the routes are still defined.

        Integrations and tables are replaced while other flows continue. Calls of draining flows still find removed integrations.
        """
        await self.caller.replace({**self.wiring.routes.integrations, **routes.integrations})
        for lookup in self.lookups:
            lookup.use(routes.tables)
        self.wiring = replace(self.wiring, routes=routes)
        retired = [flow for flow in self.supervisor.flows if flow.route in changed]
        begun = self.wiring.flows(changed)
        await self.public_server.serve(routes)
        await self.supervisor.replace(retired, begun)
        await self.caller.replace(routes.integrations)
        kept = {flow.part for flow in self.supervisor.flows}
        for flow in retired:
            if flow.part not in kept:
                self.wiring.services.health.forget(flow.part)
