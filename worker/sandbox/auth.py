"""The authorization server: tokens, discovery, and a login page for every other path."""

from __future__ import annotations

from aiohttp import web

from worker.sandbox.journal import TokenRequest
from worker.sandbox.rate_limiter import refuse_over_limit
from worker.sandbox.responses import json_answer, login_page
from worker.sandbox.scopes import KNOWN_SCOPES
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.sandbox.tokens import OAuthError

NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


async def auth_answer(halo: SimulatedHalo, request: web.Request, path: str) -> web.Response:
    """`path` is relative to /auth, in lower case."""
    if path == "/.well-known/openid-configuration":
        return json_answer(discovery(str(request.url.origin())))
    if path != "/token" or request.method != "POST":
        return login_page()
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    settings = halo.settings
    if settings.limit_counts_tokens and (over_limit := refuse_over_limit(halo.rate_limiter, halo.now(), settings)):
        return over_limit
    tenant = request.query.get("tenant") or form.get("tenant")
    try:
        answer = halo.tokens.issue(settings, form, tenant, halo.agent())
    except OAuthError as refused:
        _log_token_request(halo, form, refused.status, None)
        return json_answer(refused.answer, refused.status, NOT_STORED)
    _log_token_request(halo, form, 200, str(answer["scope"]))
    return json_answer(answer, 200, NOT_STORED)


def discovery(address: str) -> dict[str, object]:
    return {
        "issuer": f"{address}/auth",
        "token_endpoint": f"{address}/auth/token",
        "authorization_endpoint": f"{address}/auth/authorize",
        "grant_types_supported": ["client_credentials", "password", "refresh_token"],
        "scopes_supported": sorted(KNOWN_SCOPES),
        "token_endpoint_auth_methods_supported": ["client_secret_post"],
    }


def _log_token_request(halo: SimulatedHalo, form: dict[str, str], status: int, scope: str | None) -> None:
    journal = halo.journal
    journal.tokens.append(TokenRequest(journal.next_number(), halo.now(), form.get("grant_type", ""), form.get("client_id", ""), status, scope))
