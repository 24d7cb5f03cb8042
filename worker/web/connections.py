"""The connections of a port: how many there may be, in all and from each peer, with room kept for peers that were admitted before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from worker.web.peers import Acquaintances, Proxies, peer_of
from worker.web.rooms import Place, Room
from worker.web.serving import NewProtocol

CONNECTIONS = 256  # of strangers, and again of those who are known


class Connections:
    """Lets connections in. `share`: for each peer. `cut`: told of each connection that is closed to make room, or not let in."""

    def __init__(self, proxies: Proxies, known: Acquaintances, share: int, cut: Callable[[], None]) -> None:
        self._proxies = proxies
        self._known = known
        self._cut = cut
        self._strangers = Room(CONNECTIONS, share)
        self._acquainted = Room(CONNECTIONS, share)
        self._forwarded = Room(CONNECTIONS, CONNECTIONS)
        self._places: dict[asyncio.BaseTransport, tuple[Room, Place]] = {}

    def behind(self, new_protocol: NewProtocol) -> NewProtocol:
        """What makes the protocol of a connection, in front of the one that speaks HTTP."""
        return lambda: CountedProtocol(self, new_protocol)

    def enter(self, transport: asyncio.Transport) -> bool:
        """False when there is no room for it."""
        host = str((transport.get_extra_info("peername") or ("",))[0])
        peer = peer_of(host)
        room = self._forwarded if self._proxies.trusts(host) else self._acquainted if self._known.knows(peer) else self._strangers

        def give_way() -> None:
            self._cut()
            transport.abort()

        place = room.enter(peer, give_way)
        if place is None:
            self._cut()
            return False
        self._places[transport] = (room, place)
        return True

    def leave(self, transport: asyncio.BaseTransport) -> None:
        room, place = self._places.pop(transport, (None, None))
        if room is not None and place is not None:
            room.leave(place)

    def hold(self, transport: asyncio.BaseTransport | None, *, firm: bool) -> None:
        """While a call that was admitted is in hand, its connection does not give way."""
        if transport is not None and transport in self._places:
            self._places[transport][1].firm = firm


class CountedProtocol(asyncio.Protocol):
    """Counts a connection, and hands what comes over it to the protocol that speaks HTTP."""

    def __init__(self, connections: Connections, new_protocol: NewProtocol) -> None:
        self._connections = connections
        self._new_protocol = new_protocol
        self._handler: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._connections.enter(self._transport):
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
            self._connections.leave(self._transport)
        if self._handler is not None:
            self._handler.connection_lost(exc)
