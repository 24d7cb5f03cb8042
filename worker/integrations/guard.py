"""Checks the destination of every call and every socket: only the integration's own address, and there only public addresses or listed hosts."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from socket import socket

import aiohttp
from aiohttp.connector import AddrInfoType
from yarl import URL

from worker.config.hosts import local
from worker.core.addresses import METADATA, is_public, read_address
from worker.halo.failures import AddressRefused
from worker.halo.transport import CONNECT_LIMIT, Answer, Call, Failure, Send, new_connector, open_session

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
NOT_LISTED = "its address is not on the public internet: name the host under allow_hosts if that is intended"
NOT_BY_NAME = "its name resolves to a cloud metadata service: to allow that, list the address itself under allow_hosts"
ELSEWHERE = "this is not the host of the integration"


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Creates sockets for one destination only. `allowed`: hosts in canonical form, each with a port, or with None for all ports."""

    host: str
    port: int
    allowed: frozenset[tuple[str, int | None]]

    def new_socket(self, info: AddrInfoType) -> socket:
        """Return a socket for this address. Raises `AddressRefused`. aiohttp calls this just before it connects, so the address cannot change afterwards."""
        family, kind, protocol, _, place = info
        self.admit(str(place[0]), int(place[1]))
        return socket(family, kind, protocol)

    def admit(self, text: str, port: int) -> None:
        """Raise `AddressRefused` for a forbidden address."""
        address = read_address(text)
        if address is None or port != self.port:
            raise AddressRefused(ELSEWHERE)
        if is_public(address) or self._lists(str(address)):
            return
        if address in METADATA and self._lists(self.host):
            raise AddressRefused(NOT_BY_NAME)
        if not self._lists(self.host):
            raise AddressRefused(NOT_LISTED)

    def written_refusal(self) -> str:
        """Return why a proxy must not get the host as it is written; empty if it may. A proxy looks up names itself."""
        return NOT_LISTED if local(self.host) and not self._lists(self.host) else ""

    def _lists(self, host: str) -> bool:
        return (host, None) in self.allowed or (host, self.port) in self.allowed


def socket_guard(guard: AddressGuard, proxy: str | None) -> AddressGuard:
    """Return the guard of the sockets themselves. A proxy counts as listed: the route file names it."""
    if proxy is None:
        return guard
    host, port = canonical_host(URL(proxy).host or ""), URL(proxy).port or 0
    return AddressGuard(host, port, frozenset({(host, port)}))


def guard_of(url: URL, allow_hosts: Iterable[tuple[str, int | None]]) -> AddressGuard:
    return AddressGuard(canonical_host(url.host or ""), url.port or 0, frozenset((canonical_host(host), port) for host, port in allow_hosts))


def canonical_host(host: str) -> str:
    """Return one spelling for each host: addresses without brackets; names in lower case, encoded, without a final dot."""
    bare = host.strip("[]").rstrip(".").lower()
    address = read_address(bare)
    if address is not None:
        return str(address)
    try:
        return URL.build(scheme="http", host=bare).raw_host or bare
    except ValueError:
        return bare


@asynccontextmanager
async def open_guarded(origin: URL, guard: AddressGuard, tls: ssl.SSLContext, proxy: str | None = None) -> AsyncIterator[Send]:
    """Open the sender of calls to one origin. A call's own timeout limits its total duration."""
    connector = new_connector(tls, socket_guard(guard, proxy).new_socket)
    limits = aiohttp.ClientTimeout(total=None, connect=CONNECT_LIMIT, sock_connect=CONNECT_LIMIT)
    async with open_session(connector, limits, {"Accept": "application/json, */*;q=0.5"}, MAX_RESPONSE_BYTES, proxy=proxy) as send:
        yield guarded(send, origin, guard if proxy is not None else None)


def guarded(send: Send, origin: URL, proxied: AddressGuard | None) -> Send:
    """Wrap `send`: pass only calls to one origin. `proxied`: the guard of a destination behind a proxy. The proxy looks up the name: no socket shows it."""

    async def send_guarded(call: Call) -> Answer | Failure:
        if reason := refusal(call.url, origin, proxied):
            return Failure(f"{call.url.host}:{call.url.port} cannot be reached: {reason}", sent=False, refused=True)
        return await send(call)

    return send_guarded


def refusal(url: URL, origin: URL, proxied: AddressGuard | None) -> str:
    """Return why a call must not be sent; empty if it may."""
    if not same_place(url, origin) or url.raw_user is not None:
        return ELSEWHERE
    return proxied.written_refusal() if proxied is not None else ""


def same_place(url: URL, origin: URL) -> bool:
    """Whether an address has this scheme, host and port."""
    return (url.scheme, url.raw_host, url.port) == (origin.scheme, origin.raw_host, origin.port)
