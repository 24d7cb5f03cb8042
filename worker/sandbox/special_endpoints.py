"""Endpoints that behave differently from all others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import orjson
from aiohttp import web

from worker.catalogue.catalogue import load
from worker.catalogue.openapi import openapi_document
from worker.sandbox.dates import naive
from worker.sandbox.paths import PathMatch
from worker.sandbox.profiles import profile_of
from worker.sandbox.rendering import detail_row
from worker.sandbox.responses import json_answer
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.sandbox.table import Row
from worker.sandbox.tokens import AccessToken

CACHED = {
    "agents": "agent",
    "teams": "team",
    "statuses": "status",
    "tickettypes": "tickettype",
    "priorities": "priority",
    "slas": "sla",
    "categories": "category",
    "lookups": "lookup",
    "fields": "fieldinfo",
    "mailboxes": "mailbox",
}
BROKEN = frozenset({"addressbook", "ecommerceorder", "tickets/salesmailbox"})
FOR_USERS = frozenset({"client/me", "users/me", "passwordfield"})


def public_answer(halo: SimulatedHalo, method: str, path: str, address: str) -> web.Response | None:
    """The answer of an endpoint that needs no token. `path`: relative to /api, in lower case. `address`: the base URL that the caller used; a container has several."""
    match method, path.strip("/").split("/"):
        case "GET", ["authinfo"]:
            return json_answer({"auth_url": f"{address}/auth", "tenant_id": halo.settings.tenant, "token_url": f"{address}/auth/token"})
        case "GET", ["instanceinfo"]:
            return json_answer(instance_info(halo, address))
        case "GET", ["health"]:
            return json_answer({"status": "Healthy"})
        case "GET", ["swagger", "v2", "swagger.json"]:
            return web.Response(body=openapi_file(), content_type="application/json")
        case _:
            return None


@cache
def openapi_file() -> bytes:
    """The OpenAPI file of the published API, as every Halo serves its own."""
    return orjson.dumps(openapi_document(load()))


def instance_info(halo: SimulatedHalo, address: str) -> dict[str, Any]:
    agents = halo.store.count("agent")
    return {
        "dbid": "sandbox",
        "tenant_id": halo.settings.tenant,
        "nhserver_version": "2.236.1",
        "last_login": naive(halo.clock()),
        "app_version": "2.236.1",
        "database_version": 2236,
        "agent_count": agents,
        "licensed_agent_count": agents,
        "online_agent_count": 1,
        "app_name": "Halo sandbox",
        "agent_url": address,
        "portal_url": f"{address}/portal",
        "auth_url": f"{address}/auth",
        "using_event_service": True,
    }


def special_answer(halo: SimulatedHalo, grant: AccessToken, match: PathMatch, query: Mapping[str, str]) -> web.Response | None:
    """The answer of a list that has no records."""
    if match.operation.listing is None:
        return None
    table = match.table
    if table in BROKEN or (table == "clientcache" and query.get("iscachebuild") != "true"):
        return web.Response(status=500)
    if table in FOR_USERS and not (grant.user or halo.settings.service_token_has_user):
        return web.Response(status=401)
    if table == "incomingevent" and not halo.settings.incoming_events_allowed:
        return web.Response(status=403)
    if table == "agent/me":
        agent = {**detail_row(halo.agent(), profile_of("agent"), nested=False), "claims": [{"type": "scope", "value": scope} for scope in grant.scopes]}
        return json_answer(agent)
    return json_answer(client_cache(halo)) if table == "clientcache" else None


def client_cache(halo: SimulatedHalo) -> dict[str, Any]:
    """The tables that Halo's own user interface loads at its start."""
    return {name: [detail_row(row, profile_of(entity), nested=False) for row in _all_rows(halo, entity)] for name, entity in CACHED.items()}


def _all_rows(halo: SimulatedHalo, entity: str) -> Iterator[Row]:
    return (table.at(position) for table in halo.store.all_tables(entity) for position in table.positions())
