"""Checks one integration: its host, whether the worker may call it, its certificate, and its token if it fetches one. It calls no method except the login."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence

from yarl import URL

from worker.app.doctor.check import Check, CheckSubject, CheckVerdict
from worker.app.doctor.network import integration_endpoint, network_checks
from worker.app.route_evaluator import open_route_evaluator
from worker.config.automation import Integration
from worker.config.routes import Routes
from worker.core.errors import ConfigError
from worker.core.ports import Clock
from worker.halo.failures import AddressRefused
from worker.halo.grants import TokenErrorKind
from worker.integrations.caller import open_caller
from worker.integrations.guard import guard_of
from worker.metrics import Metrics
from worker.settings import Settings

AT_ONCE = 10  # customers
SENT_AS_IT_IS = ("basic", "bearer", "api_key")
FIX = {
    TokenErrorKind.REFUSED: "check the credentials under `auth` of the integration, and what its API allows them",
    TokenErrorKind.UNREACHABLE: "check `token_url` or `base_url`, `proxy`, the outgoing connections of this machine, and whether the API is up",
    TokenErrorKind.UNUSABLE: "check `auth` of the integration: the address, and where the answer holds the token",
}


async def all_customers(integration: Integration, routes: Routes, settings: Settings, clock: Clock) -> AsyncIterator[Check]:
    """Yield the checks of an integration. With a table of customers: the checks of each customer that are not good, then one check for the table."""
    waiting, found = list(integration.each), list[list[Check]]()
    while waiting:
        some, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        found += await asyncio.gather(*(examined(each, routes, settings, clock) for each in some))
    checks = [check for checks in found for check in checks]
    if integration.customers is None:
        shown = checks
    else:
        shown = [check for check in checks if check.verdict in {CheckVerdict.FAILED, CheckVerdict.WARNING}]
        shown += [customers_summary(integration, found)] if checks else []
    for check in shown:
        yield check


def customers_summary(integration: Integration, found: Sequence[Sequence[Check]]) -> Check:
    """Return how many customers passed: one line for each of them would hide the few that failed."""
    about, count = CheckSubject(f"integration {integration.name}"), len(found)
    checks = [check for checks in found for check in checks]
    tried = f"{', '.join(dict.fromkeys(check.name for check in checks))} of each customer"
    failed = sum(any(check.verdict is CheckVerdict.FAILED for check in checks) for checks in found)
    if failed:
        return about.failed("customers", tried, f"{failed:,} of {count:,} customers failed", "the failed checks of the customers say what to do")
    untold = [check for check in checks if check.verdict is CheckVerdict.UNKNOWN]
    if untold:
        return about.unknown("customers", tried, f"none of {count:,} customers failed; {untold[0].name}: {untold[0].result}")
    return about.good("customers", tried, f"all {count:,} passed")


async def examined(integration: Integration, routes: Routes, settings: Settings, clock: Clock) -> list[Check]:
    return [check async for check in integration_checks(integration, routes, settings, clock)]


async def integration_checks(integration: Integration, routes: Routes, settings: Settings, clock: Clock) -> AsyncIterator[Check]:
    """Yield no check for an integration that uses a client's token: the client has its own checks."""
    if integration.auth.type == "halo":
        return
    about = CheckSubject(f"integration {integration.title}")
    if integration.proxy is None and (refused := await address_check(integration, about)) is not None:
        yield refused
        return
    failed = False
    async for check in network_checks(integration_endpoint(integration), about, clock):
        failed |= check.verdict is CheckVerdict.FAILED
        yield check
    if not failed:
        yield await credentials_check(integration, routes, settings, clock, about)


async def address_check(integration: Integration, about: CheckSubject) -> Check | None:
    """Check the address before anything connects. None when the worker may connect, and when the name is unknown: the check of the name reports that."""
    origin = URL(integration.base_url).origin()
    guard = guard_of(origin, integration.allow_hosts)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except OSError:
        return None
    for each in found:
        try:
            guard.admit(str(each[4][0]), int(each[4][1]))
        except AddressRefused as error:
            return about.failed(
                "address", f"compare the address of {origin.host} with `allow_hosts`", str(error), "list the host under `allow_hosts` if you trust it"
            )
    return None


async def credentials_check(integration: Integration, routes: Routes, settings: Settings, clock: Clock, about: CheckSubject) -> Check:
    """Fetch a token if `auth` says how."""
    kind = integration.auth.type
    if kind in SENT_AS_IT_IS or kind == "none":
        customer = f" --customer '{integration.customer}'" if integration.customer else ""
        what = "nothing is sent to prove who the worker is" if kind == "none" else "the credentials are sent with each call"
        return about.unknown("token", f"read `auth` ({kind})", f"{what}: `halo-worker call {integration.name}.METHOD{customer}` tries it")
    tried = f"log in by {integration.name}.{integration.auth.login.method}" if integration.auth.login else f"ask {token_place(integration)} for a token"
    try:
        async with (
            open_route_evaluator(routes, settings, None, clock) as evaluator,
            open_caller({integration.name: integration}, {}, evaluator, Metrics(), clock) as caller,
        ):
            refused = await caller.first_token(integration.name)
    except ConfigError as error:
        return about.failed("token", tried, "; ".join(problem.message for problem in error.problems), "correct the integration in the route files")
    if refused is not None:
        return about.failed("token", tried, refused.reason.removeprefix("no token: "), FIX[refused.kind])
    return about.good("token", tried, "given")


def token_place(integration: Integration) -> str:
    """Return the token address without its query."""
    return str(URL(integration.auth.token_url or "").with_query(None))
