"""Runs all checks: each client, then the broker and the public port. When a check fails, the checks that depend on it are skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator

from yarl import URL

from worker.app.clients import used_clients
from worker.app.doctor.broker import broker_checks, topology_of
from worker.app.doctor.check import Check, Subject, Verdict
from worker.app.doctor.entities import entity_checks
from worker.app.doctor.halo import ClientSession, agent_checks, token_checks
from worker.app.doctor.integrations import all_customers
from worker.app.doctor.management import management_checks
from worker.app.doctor.network import client_endpoint, network_checks
from worker.app.doctor.ports import port_checks
from worker.app.route_evaluator import open_route_evaluator
from worker.catalogue.catalogue import load
from worker.catalogue.difference import differences
from worker.catalogue.errors import NotOpenApi
from worker.catalogue.tenant import parse_openapi
from worker.config.routes import Client, Routes
from worker.core.errors import ConfigError
from worker.core.ports import Clock
from worker.halo.addresses import api_address
from worker.halo.openapi_file import NotFetched, fetch_openapi
from worker.halo.transport import open_transport
from worker.settings import Settings


async def examine(routes: Routes, settings: Settings, clock: Clock) -> AsyncIterator[Check]:
    """Yield every check as it ends. Sends one token call and some GETs to each Halo, and one token call or login to each integration."""
    for name in sorted(set(used_clients(routes))):
        async for check in client_checks(routes.clients[name], routes, settings, clock):
            yield check
    for name in sorted(routes.integrations):
        async for check in all_customers(routes.integrations[name], routes, settings, clock):
            yield check
    async for check in broker_checks(settings, routes):
        yield check
    async for check in management_checks(settings, {queue.name for queue in topology_of(routes).queues}):
        yield check
    async for check in port_checks(settings, routes):
        yield check


async def client_checks(client: Client, routes: Routes, settings: Settings, clock: Clock) -> AsyncIterator[Check]:
    about = Subject(f"client {client.name}")
    failed = False
    async for check in network_checks(client_endpoint(client), about, clock):
        failed |= check.verdict is Verdict.FAILED
        yield check
    if failed:
        return
    try:
        async with open_transport(client) as send, open_route_evaluator(routes, settings, client.name, clock) as evaluator:
            session = ClientSession(client, send, clock)
            async for check in token_checks(session, about):
                yield check
            if not session.token:
                return
            async for check in agent_checks(session, about):
                yield check
            async for check in entity_checks(session, routes, evaluator, about):
                yield check
            yield await openapi(client, about)
    except ConfigError as error:
        yield about.failed("configuration", "open the client", "; ".join(map(str, error.problems)), "correct the client in the route files")


async def openapi(client: Client, about: Subject) -> Check:
    """Compare the tenant's OpenAPI file with the built-in catalogue."""
    tried = "compare the tenant's OpenAPI file with the built-in catalogue"
    try:
        theirs = parse_openapi(await fetch_openapi(URL(client.url or api_address(client)), client))
    except (NotFetched, NotOpenApi) as error:
        fix = "download the file in a browser, and let `openapi` of the client name it"
        return about.unknown("openapi", tried, str(error), fix)
    found = list(differences(load(), theirs))
    if not found:
        return about.good("openapi", tried, "no difference")
    absent = sum(each.change == "removed" for each in found)
    command = f"halo-worker catalogue compare {client.url or api_address(client)} --client {client.name}"
    return about.warning(
        "openapi", tried, f"{len(found)} differences, {absent} of them absent in the tenant", f"run `{command}`: it shows whether the routes use any"
    )
