"""The protocol of the token endpoint: the request for each grant, and the meaning of the answers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from worker.config.routes import Grant
from worker.core.bodies import read_json
from worker.core.errors import Undecodable
from worker.halo.transport import Answer, Failure

UNKNOWN_LIFE = 60.0  # a token of unknown lifetime is renewed soon; the worker also notices its rejection
ERROR_CODE = re.compile(r"[a-z_]{1,40}")
TOKEN_TEXT = re.compile(r"[\x21-\x7e]+")


class TokenErrorKind(StrEnum):
    """Why there is no token; the values are labels of the token metric."""

    REFUSED = "refused"  # the authorisation server answered with a refusal
    UNREACHABLE = "unreachable"  # no answer, or a temporary refusal
    UNUSABLE = "unusable"  # the server that answers is not a token endpoint


@dataclass(frozen=True, slots=True)
class NoToken:
    """Why there is no token. `reason`: a sentence for the operator, without secrets. `code`: OAuth's error code, if the answer has one."""

    reason: str
    kind: TokenErrorKind
    code: str = ""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token as the endpoint gave it. `life`: in seconds, None when the answer has none or an invalid one."""

    value: str = field(repr=False)
    life: float | None
    refresh: str | None = field(default=None, repr=False)
    scopes: frozenset[str] | None = None


def form(grant: Grant, refresh: str | None = None) -> dict[str, str]:
    """The fields of a token request, without those that authenticate the client. A given refresh token replaces the grant."""
    if refresh:
        return dict(grant.parameters) | {"grant_type": "refresh_token", "refresh_token": refresh}
    fields = dict(grant.parameters) | {"grant_type": grant.type}
    if grant.type == "password":
        fields |= {"username": grant.username or "", "password": grant.password or ""}
    return fields | ({"scope": " ".join(grant.scopes)} if grant.scopes else {})


def read_answer(result: Answer | Failure, grant: Grant, place: str) -> IssuedToken | NoToken:
    """The result of a token request. `place`: the token address without its query."""
    if isinstance(result, Failure):
        return NoToken(f"no token: {result.reason}", TokenErrorKind.UNREACHABLE)
    value = _json(result)
    if result.status == HTTPStatus.OK:
        return _granted(value) or NoToken(_no_token(result, place), TokenErrorKind.UNUSABLE)
    if isinstance(value, dict) and isinstance(code := value.get("error"), str) and ERROR_CODE.fullmatch(code):
        return NoToken(f"no token: {_meaning(code, grant)} ({code}, status {result.status})", TokenErrorKind.REFUSED, code)
    return _failed(result, place)


def _failed(answer: Answer, place: str) -> NoToken:
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return NoToken(f"no token: {place} redirects to {answer.target}: check token_url", TokenErrorKind.UNUSABLE)
    if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        return NoToken(f"no token: there is no token endpoint at {place} ({answer.status}): check token_url", TokenErrorKind.UNUSABLE)
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return NoToken(f"no token: the authorisation server at {place} answered {answer.status}", TokenErrorKind.UNREACHABLE)
    return NoToken(f"no token: the authorisation server at {place} refused with status {answer.status} and gave no reason", TokenErrorKind.REFUSED)


def _no_token(answer: Answer, place: str) -> str:
    what = "a web page" if answer.is_page else answer.problem or "an answer without a token"
    return f"no token: {place} answered 200 with {what}: check token_url (Halo's usually ends in /auth/token)"


def _meaning(code: str, grant: Grant) -> str:
    match code:
        case "invalid_client":
            return "client_id or client_secret is wrong, or the application is switched off"
        case "invalid_scope":
            return f"one of the scopes {', '.join(grant.scopes)} is not known there"
        case "invalid_grant":
            return "username or password is wrong, or the agent may not log in" if grant.type == "password" else "the grant is no longer valid"
        case "unauthorized_client" | "unsupported_grant_type":
            return f"the application does not allow the grant {grant.type}: check its authentication method"
        case _:
            return "the authorisation server refused"


def _granted(value: Any) -> IssuedToken | None:
    if not isinstance(value, dict) or not isinstance(token := value.get("access_token"), str) or not TOKEN_TEXT.fullmatch(token):
        return None
    refresh, scope = value.get("refresh_token"), value.get("scope")
    return IssuedToken(
        token,
        life_of(value.get("expires_in")),
        refresh if isinstance(refresh, str) and refresh else None,
        frozenset(scope.split()) if isinstance(scope, str) and scope.strip() else None,
    )


def life_of(value: Any) -> float | None:
    """The lifetime in an answer, in seconds; None for an invalid value."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _json(answer: Answer) -> Any:
    try:
        return read_json(answer.body or b"", answer.content_type)
    except Undecodable:
        return None
