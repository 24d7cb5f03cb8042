"""Tokens: issued for client credentials, a password or a refresh token; looked up on every request; expired and revoked."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any

from worker.sandbox.id_token import id_token
from worker.sandbox.scopes import granted_scopes
from worker.sandbox.settings import SandboxSettings


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The rights of a token. `user`: whether it belongs to an agent rather than to a service."""

    client_id: str
    scopes: tuple[str, ...]
    expires: datetime
    user: bool


DESCRIPTIONS = {
    "invalid_client": "The client is unknown, or its credentials are wrong.",
    "invalid_grant": "The user name, the password or the refresh token is wrong.",
    "invalid_scope": "A scope that was asked for does not exist or may not be granted.",
    "invalid_tenant": "The tenant is missing or unknown.",
    "unsupported_grant_type": "This grant type is not supported.",
}


class OAuthError(Exception):
    """An OAuth error: its code, a description, and the status."""

    def __init__(self, error: str, status: int = 400) -> None:
        super().__init__(error)
        self.answer = {"error": error, "error_description": DESCRIPTIONS[error]}
        self.status = status


class TokenStore:
    """All valid tokens."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._grants: dict[str, AccessToken] = {}
        self._refresh: dict[str, AccessToken] = {}
        self._signing_key = secrets.token_bytes(32)

    def issue(self, settings: SandboxSettings, form: Mapping[str, str], tenant: str | None, agent: Mapping[str, Any]) -> dict[str, str | int]:
        """The answer to a token request. `agent`: the agent for whom the application acts. Raises `OAuthError`."""
        if (settings.tenant_required and not tenant) or (tenant and tenant.lower() != settings.tenant.lower()):
            raise OAuthError("invalid_tenant")
        kind = form.get("grant_type", "")
        match kind:
            case "client_credentials":
                _check_client(settings, form, secret_needed=True)
                scopes = self._scopes(settings, form)
            case "password":
                _check_client(settings, form, secret_needed=False)
                if not (_same(form.get("username"), settings.username) and _same(form.get("password"), settings.password)):
                    raise OAuthError("invalid_grant")
                scopes = self._scopes(settings, form)
            case "refresh_token":
                _check_client(settings, form, secret_needed=False)
                old = self._refresh.pop(form.get("refresh_token", ""), None)
                if old is None:
                    raise OAuthError("invalid_grant")
                scopes, kind = old.scopes, "password" if old.user else "client_credentials"
            case _:
                raise OAuthError("unsupported_grant_type")
        answer = self._answer(settings, form, scopes, user=kind == "password")
        return {**answer, "id_token": id_token(agent, form["client_id"], self._now(), settings.token_seconds, self._signing_key)}

    def grant(self, token: str) -> AccessToken | None:
        """The rights of a token; None if it is unknown, expired or revoked."""
        grant = self._grants.get(token)
        return grant if grant is not None and grant.expires > self._now() else None

    def api_key(self, settings: SandboxSettings, key: str) -> AccessToken | None:
        """The rights of the static key; None if it is wrong."""
        if settings.api_key is None or not _same(key, settings.api_key):
            return None
        return AccessToken(settings.client_id, settings.scopes, datetime.max.replace(tzinfo=UTC), user=False)

    def revoke(self) -> int:
        """Revokes all tokens and refresh tokens, and returns the number of tokens."""
        count = len(self._grants)
        self._grants.clear()
        self._refresh.clear()
        return count

    def _scopes(self, settings: SandboxSettings, form: Mapping[str, str]) -> tuple[str, ...]:
        """Return the scopes of a token. A token without scope is issued, but no call with it succeeds."""
        asked = form.get("scope", "").split()
        scopes = granted_scopes(asked, settings.scopes)
        if scopes is None or (asked and not scopes):
            raise OAuthError("invalid_scope")
        return scopes

    def _answer(self, settings: SandboxSettings, form: Mapping[str, str], scopes: tuple[str, ...], *, user: bool) -> dict[str, str | int]:
        token = secrets.token_urlsafe(48)
        grant = AccessToken(form["client_id"], scopes, self._now() + timedelta(seconds=settings.token_seconds), user)
        self._grants[token] = grant
        answer: dict[str, str | int] = {"scope": " ".join(scopes), "token_type": "Bearer", "access_token": token}
        if settings.tells_expiry:
            answer["expires_in"] = settings.token_seconds
        if settings.refresh_tokens:
            refresh = secrets.token_urlsafe(32)
            self._refresh[refresh] = grant
            answer["refresh_token"] = refresh
        return answer


def _check_client(settings: SandboxSettings, form: Mapping[str, str], *, secret_needed: bool) -> None:
    secret = form.get("client_secret")
    secret_good = _same(secret, settings.client_secret) if secret_needed or secret else True
    if not (_same(form.get("client_id"), settings.client_id) and secret_good):
        raise OAuthError("invalid_client", 401)


def _same(given: str | None, expected: str) -> bool:
    return given is not None and compare_digest(given.encode(), expected.encode())
