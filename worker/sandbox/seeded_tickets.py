"""The seeded tickets: reporter, subject, handling and times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache, partial

from worker.sandbox.dates import UNSET
from worker.sandbox.profiles import STAMP
from worker.sandbox.seeded_random import seeded_guid
from worker.sandbox.seeded_tenant import CACHE_SIZE, CLOSED, SUMMARIES, TEAMS, MemberFunctions, Tenant, client_name, custom_fields, user_name
from worker.sandbox.table import SeededRows

TARGETED = 1000  # one ticket in 1,000 has a target date


def tickets(tenant: Tenant) -> SeededRows:
    members: MemberFunctions = {"id": int, **_subject(tenant), **_reporter(tenant), **_handling(tenant), **_moments(tenant)}
    return SeededRows(tenant.size.tickets, members)


def _reporter(tenant: Tenant) -> MemberFunctions:
    @lru_cache(CACHE_SIZE)
    def user(number: int) -> int:
        return tenant.chance(number, 1, tenant.size.users) + 1

    def client(number: int) -> int:
        return (user(number) - 1) // 5 + 1

    return {
        "details": lambda n: f"Reported by {user_name(user(n))}: it happens since this morning.",
        "client_id": client,
        "client_name": lambda n: client_name(client(n)),
        "site_id": lambda n: client(n) * 2 - 1,
        "site_name": lambda _: "Main",
        "user_id": user,
        "user_name": lambda n: user_name(user(n)),
        "user_email": lambda n: f"user{user(n)}@example.com",
    }


def _kind(tenant: Tenant, number: int) -> int:
    return tenant.chance(number, 6, 4) + 1


def _subject(tenant: Tenant) -> MemberFunctions:
    return {
        "summary": lambda n: f"{SUMMARIES[tenant.chance(n, 4, 8)]} ({n})",
        "tickettype_id": partial(_kind, tenant),
        "itil_requesttype_id": partial(_kind, tenant),
        "category_1": lambda n: ("Hardware", "Software", "Network")[n % 3],
        "categoryid_1": lambda n: n % 3 + 1,
        "guid": lambda n: seeded_guid(tenant.seed, n, 11),
        "use": lambda _: "ticket",
        "customfields": partial(custom_fields, tenant),
    }


def _handling(tenant: Tenant) -> MemberFunctions:
    closed = _closed(tenant)

    @lru_cache(CACHE_SIZE)
    def team(number: int) -> int:
        return tenant.chance(number, 3, len(TEAMS)) + 1

    return {
        "status_id": lambda n: CLOSED if closed(n) else tenant.chance(n, 5, 4) + 1,
        "hasbeenclosed": lambda n: closed(n) or None,
        "sla_id": lambda _: 1,
        "priority_id": lambda n: tenant.chance(n, 8, 4) + 1,
        "team": lambda n: TEAMS[team(n) - 1],
        "team_id": team,
        "agent_id": lambda n: tenant.chance(n, 9, 8) + 1,
        "impact": lambda _: 3,
        "urgency": lambda _: 3,
        "estimate": lambda _: 0.0,
        "flagged": lambda _: False,
        "inactive": lambda _: False,
        "attachment_count": lambda _: 0,
        "child_count": lambda _: 0,
        "source": lambda n: tenant.chance(n, 10, 3) + 1,
    }


def _moments(tenant: Tenant) -> MemberFunctions:
    created, changed = tenant.moments(tenant.size.tickets)
    closed = _closed(tenant)
    return {
        "dateoccurred": created,
        "fixbydate": lambda n: created(n) + timedelta(days=2),
        "deadlinedate": lambda _: UNSET,
        "targetdate": lambda n: created(n) + timedelta(days=3) if n % TARGETED == 0 else UNSET,
        "dateclosed": lambda n: changed(n) if closed(n) else None,
        "lastactiondate": changed,
        STAMP: changed,
    }


def _closed(tenant: Tenant) -> Callable[[int], bool]:
    @lru_cache(CACHE_SIZE)
    def closed(number: int) -> bool:
        return tenant.chance(number, 2, 10) < 6  # noqa: PLR2004  six tickets of ten are closed

    return closed
