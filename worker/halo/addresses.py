"""The addresses of a client's API and token endpoint: from the configuration, or from Halo itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from yarl import URL

from worker.config.routes import Client
from worker.core.bodies import read_json
from worker.core.errors import Undecodable
from worker.halo.budget import FIRST, Budget
from worker.halo.grants import NoToken, TokenErrorKind
from worker.halo.transport import Answer, Call, Failure, Send


@dataclass(frozen=True, slots=True)
class TokenAddress:
    """The address of a token endpoint. `url`: with the tenant in its query, if there is one. `place`: the address to show to people."""

    url: URL
    place: str


FindAddress = Callable[[], Awaitable[TokenAddress | NoToken]]


def finder(client: Client, send: Send, budget: Budget) -> FindAddress:
    """The function that a client's auth manager calls for the address of its token endpoint."""

    async def find() -> TokenAddress | NoToken:
        if client.token_url is not None:
            return token_address(client.token_url, client.tenant)
        async with budget.reserve(FIRST):
            return await discover(client, send)

    return find


def api_address(client: Client) -> str:
    """The API's address without a trailing slash, from the configuration alone."""
    return client.api_url or f"{client.url}/api"


async def discover(client: Client, send: Send) -> TokenAddress | NoToken:
    """Ask Halo's `authinfo`, which needs no token."""
    place = f"{client.url}/api/authinfo" if client.url else f"{api_address(client)}/authinfo"
    result = await send(Call("GET", URL(place), timeout=client.timeout))
    if isinstance(result, Failure):
        return NoToken(f"no token: {result.reason}", TokenErrorKind.UNREACHABLE)
    info = _read(result)
    if not info:
        what = "a web page" if result.is_page else f"status {result.status}"
        passing = result.status == HTTPStatus.TOO_MANY_REQUESTS or result.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        reason = f"no token: {place} names no token endpoint (it answered with {what}): check url, or set token_url"
        return NoToken(reason, TokenErrorKind.UNREACHABLE if passing else TokenErrorKind.UNUSABLE)
    address = info["auth_url"].rstrip("/")
    if not _usable(address, client):
        return NoToken(f"no token: {place} names an authorisation address that is not safe to use: set token_url", TokenErrorKind.UNUSABLE)
    tenant = client.tenant or info.get("tenant_id")
    return token_address(address if address.endswith("/token") else f"{address}/token", tenant if isinstance(tenant, str) else None)


def _read(answer: Answer) -> dict[str, Any] | None:
    if answer.status != HTTPStatus.OK:
        return None
    try:
        info = read_json(answer.body or b"", answer.content_type)
    except Undecodable:
        return None
    return info if isinstance(info, dict) and isinstance(info.get("auth_url"), str) else None


def _usable(address: str, client: Client) -> bool:
    """Whether the worker may send credentials to this address: it must be absolute, and encrypted when the API's address is."""
    try:
        url = URL(address)
    except ValueError:
        return False
    return bool(url.host) and (url.scheme == "https" or url.scheme == URL(api_address(client)).scheme == "http")


def token_address(address: str, tenant: str | None = None) -> TokenAddress:
    url = URL(address)
    return TokenAddress(url.update_query(tenant=tenant) if tenant else url, str(url.with_query(None).with_user(None)))
