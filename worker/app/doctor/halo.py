"""Checks one client of Halo: the token address, the grant, its scopes, the agent behind it, the clock, and what the routes read.

Sends only GETs, reports that store nothing, and one token call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from yarl import URL

from worker.app.doctor.check import Check, CheckSubject
from worker.config.routes import Client
from worker.core.bodies import read_json
from worker.core.errors import Undecodable
from worker.core.exchange import Request
from worker.core.json_codec import encode
from worker.core.ports import Clock
from worker.halo.addresses import TokenAddress, api_address, discover, token_address
from worker.halo.client_proof import prove_client
from worker.halo.grants import IssuedToken, NoToken, TokenErrorKind, form, read_answer
from worker.halo.transport import Answer, Call, Failure, Send

DRIFT, FAR = 30.0, 240.0  # seconds between the clocks: above the first a warning; the second is as much as the default `overlap` of five minutes hides
WHOLE = frozenset({"all", "all:standard", "admin"})
REFUSED_FIX = {
    "invalid_client": "compare client_id and client_secret with Halo (Configuration, Integrations, Halo API); check that the application is active",
    "invalid_scope": "correct `scopes` of the client: `all`, or names such as read:tickets and edit:assets",
    "invalid_grant": "correct username and password of the client; the agent must be active and may log in",
    "unauthorized_client": "set the authentication method of the API application in Halo to that of `auth.type`",
    "unsupported_grant_type": "set the authentication method of the API application in Halo to that of `auth.type`",
}
FIX = {
    TokenErrorKind.REFUSED: "check the API application in Halo, `auth` and `tenant` of the client",
    TokenErrorKind.UNREACHABLE: "check `url` and `token_url`, the outgoing connections of this machine, and whether Halo is up",
    TokenErrorKind.UNUSABLE: "set `token_url` of the client to the authorisation server of Halo, which usually ends in /auth/token",
}


@dataclass(slots=True)
class ClientSession:
    """Calls Halo as one client. `token`: empty until Halo issues one; `scopes`: None when Halo does not return them."""

    client: Client
    send: Send
    clock: Clock
    token: str = field(default="", repr=False)
    scopes: frozenset[str] | None = None

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Answer | Failure:
        url = URL(api_address(self.client) + path).update_query(query or {})
        return await self.send(Call("GET", url, {"Authorization": f"Bearer {self.token}"}, timeout=self.client.timeout))

    async def post(self, request: Request) -> Answer | Failure:
        """Run a report: Halo takes it by POST and stores nothing."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        url = URL(api_address(self.client) + request.path)
        return await self.send(Call(request.method, url, headers, encode(request.body), timeout=request.timeout))


async def token_checks(session: ClientSession, about: CheckSubject) -> AsyncIterator[Check]:
    """Check the token address, and fetch one token. `session.token` stays empty after a failure."""
    client = session.client
    tried = "ask Halo's /api/authinfo for the token endpoint" if client.token_url is None else "read token_url"
    found = await discover(client, session.send) if client.token_url is None else token_address(client.token_url, client.tenant)
    if isinstance(found, NoToken):
        yield about.failed("discovery", tried, found.reason.removeprefix("no token: "), FIX[found.kind])
        return
    yield about.good("discovery", tried, found.place)
    yield await grant_check(session, about, found)
    if session.token:
        yield scopes_check(session, about)


async def grant_check(session: ClientSession, about: CheckSubject, address: TokenAddress) -> Check:
    client = session.client
    tried = f"ask {address.place} for a token ({client.grant.type})"
    headers, proof = prove_client(client.grant, address.url, session.clock.now())
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    answer = await session.send(Call("POST", address.url, headers, urlencode(form(client.grant) | proof).encode(), client.timeout))
    result = read_answer(answer, client.grant, address.place)
    if isinstance(result, IssuedToken):
        session.token, session.scopes = result.value, result.scopes
        life = "the answer names no lifetime: the worker renews it every minute" if result.life is None else f"good for {result.life:.0f} s"
        return about.good("token", tried, life)
    return about.failed("token", tried, result.reason.removeprefix("no token: "), REFUSED_FIX.get(result.code, FIX[result.kind]))


def scopes_check(session: ClientSession, about: CheckSubject) -> Check:
    """Compare the granted scopes with the requested ones."""
    wanted, given = frozenset(session.client.grant.scopes), session.scopes
    tried = f"compare the token's scopes with {', '.join(sorted(wanted)) or 'none'}"
    if given is None:
        return about.unknown("scopes", tried, "Halo does not name them: the reads below show what they allow")
    if lacking := sorted(wanted - given):
        fix = "grant them to the API application in Halo (Permissions), or leave them out of `scopes`"
        return about.failed("scopes", tried, f"not granted: {', '.join(lacking)}; granted: {', '.join(sorted(given)) or 'none'}", fix)
    return about.good("scopes", tried, f"granted: {', '.join(sorted(given))}")


async def agent_checks(session: ClientSession, about: CheckSubject) -> AsyncIterator[Check]:
    """Check which agent the token belongs to, and Halo's clock."""
    tried = "GET /Agent/me"
    answer = await session.get("/Agent/me")
    if isinstance(answer, Failure):
        yield about.failed("agent", tried, answer.reason, FIX[TokenErrorKind.UNREACHABLE])
        return
    agent = json_of(answer)
    if answer.status == HTTPStatus.OK and isinstance(agent, dict):
        yield about.good("agent", tried, f"agent {agent.get('id', '?')}; its role limits what the worker sees")
    elif answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        yield about.failed(
            "agent", tried, "429: the tenant's request limit is used up", "lower `rate_limit`, or WORKER_BUDGET_SHARE, or stop what else calls this tenant"
        )
    else:
        fix = "choose an agent for the API application in Halo (Login type: agent), whose role may read and write what the routes use"
        yield about.warning("agent", tried, f"status {answer.status}: the token stands for no agent that can be read", fix)
    yield clock_of(answer, session.clock.now(), about)


def clock_of(answer: Answer, now: float, about: CheckSubject) -> Check:
    """Compare Halo's clock with this one: polls by date compare Halo's stamps with this clock."""
    tried = "compare Halo's Date header with the clock of this machine"
    try:
        apart = abs(parsedate_to_datetime(answer.headers.get("date", "")).timestamp() - now)
    except (ValueError, TypeError):
        return about.unknown("clock", tried, "Halo's answer has no date")
    fix = "synchronise the clock of this machine by NTP; where Halo's own is wrong, raise `overlap` of the subscribers"
    if apart > FAR:
        return about.failed("clock", tried, f"{apart:.0f} s apart: polls by date can miss changes", fix)
    return about.warning("clock", tried, f"{apart:.0f} s apart", fix) if apart > DRIFT else about.good("clock", tried, f"{apart:.0f} s apart")


def json_of(answer: Answer) -> Any:
    """Return the JSON of an answer; None for anything else."""
    try:
        return read_json(answer.body or b"", answer.content_type)
    except Undecodable:
        return None
