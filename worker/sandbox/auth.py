"""The authorisation server: tokens, discovery, and a login page for everything else."""

from __future__ import annotations

from aiohttp import web

from worker.sandbox.journal import TokenRequest
from worker.sandbox.rate_limiter import rate_limit_message
from worker.sandbox.responses import json_answer, login_page, refusal_answer
from worker.sandbox.scopes import KNOWN_SCOPES
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.sandbox.tokens import OAuthError

NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


async def auth_answer(halo: SimulatedHalo, request: web.Request, path: str) -> web.Response:
    """`path` lies below /auth, in lower case."""
    if path == "/.well-known/openid-configuration":
        return json_answer(discovery(str(request.url.origin())))
    if path != "/token" or request.method != "POST":
        return login_page()
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    settings = halo.settings
    if settings.limit_counts_tokens and not halo.rate_limiter.admit(
        halo.now().timestamp(), settings.rate_limit, settings.rate_window, counts_refused=settings.limit_counts_refused
    ):
        return refusal_answer(rate_limit_message(settings.rate_limit or 0, settings.rate_window), settings.limit_wrapper, 429)
    tenant = request.query.get("tenant") or form.get("tenant")
    try:
        answer = halo.tokens.issue(settings, form, tenant)
    except OAuthError as refused:
        _note(halo, form, refused.status, None)
        return json_answer(refused.answer, refused.status, NOT_STORED)
    _note(halo, form, 200, str(answer["scope"]))
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


def _note(halo: SimulatedHalo, form: dict[str, str], status: int, scope: str | None) -> None:
    journal = halo.journal
    journal.tokens.append(TokenRequest(journal.next_number(), halo.now(), form.get("grant_type", ""), form.get("client_id", ""), status, scope))
