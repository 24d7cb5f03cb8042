"""Limit the connections of a port, in total and for each peer. Previously admitted peers have a separate limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from worker.web.admission import Admission, AdmissionPool
from worker.web.peers import KnownPeers, Proxies, peer_of
from worker.web.serving import NewProtocol

CONNECTIONS = 256  # of strangers, of known peers, and of trusted proxies, each


class Connections:
    """Admits connections. `share`: the limit of each peer. `cut`: called for each connection that is evicted or not admitted."""

    def __init__(self, proxies: Proxies, known: KnownPeers, share: int, cut: Callable[[], None]) -> None:
        self._proxies = proxies
        self._known = known
        self._cut = cut
        self._strangers = AdmissionPool(CONNECTIONS, share)
        self._acquainted = AdmissionPool(CONNECTIONS, share)
        self._forwarded = AdmissionPool(CONNECTIONS, CONNECTIONS)
        self._admissions: dict[asyncio.BaseTransport, tuple[AdmissionPool, Admission]] = {}

    def wrap(self, new_protocol: NewProtocol) -> NewProtocol:
        """Return a factory of protocols that count their connection before the HTTP protocol sees it."""
        return lambda: CountedProtocol(self, new_protocol)

    def admit(self, transport: asyncio.Transport) -> bool:
        """Whether the connection may stay."""
        host = str((transport.get_extra_info("peername") or ("",))[0])
        peer = peer_of(host)
        pool = self._forwarded if self._proxies.trusts(host) else self._acquainted if self._known.knows(peer) else self._strangers

        def evict() -> None:
            self._cut()
            transport.abort()

        admission = pool.admit(peer, evict)
        if admission is None:
            self._cut()
            return False
        self._admissions[transport] = (pool, admission)
        return True

    def release(self, transport: asyncio.BaseTransport) -> None:
        pool, admission = self._admissions.pop(transport, (None, None))
        if pool is not None and admission is not None:
            pool.release(admission)

    def pin(self, transport: asyncio.BaseTransport | None, *, pinned: bool) -> None:
        """Pin a connection while it has an authenticated call in flight."""
        if transport is not None and transport in self._admissions:
            self._admissions[transport][1].pinned = pinned


class CountedProtocol(asyncio.Protocol):
    """Counts a connection, and passes its events to the HTTP protocol."""

    def __init__(self, connections: Connections, new_protocol: NewProtocol) -> None:
        self._connections = connections
        self._new_protocol = new_protocol
        self._handler: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._connections.admit(self._transport):
            self._handler = self._new_protocol()
            self._handler.connection_made(transport)
        else:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._handler is not None:
            self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        return self._handler.eof_received() if self._handler is not None else None

    def pause_writing(self) -> None:
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        if self._handler is not None:
            self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._connections.release(self._transport)
        if self._handler is not None:
            self._handler.connection_lost(exc)
