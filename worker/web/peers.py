"""The peers of a port: one for each IPv4 address and each IPv6 /64, also behind trusted proxies; and the previously admitted peers."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from worker.core.addresses import Address, read_address

Network = IPv4Network | IPv6Network
PREFIX_V6 = 64  # a provider gives each customer at least a network of this size, with all its addresses
KNOWN_PEERS = 10_000
KNOWN_SECONDS = 24 * 3600.0


def peer_of(host: str) -> str:
    """Return the peer that an address belongs to."""
    address = read_address(host)
    return host if address is None else _peer(address)


def _peer(address: Address) -> str:
    return str(IPv6Network((address, PREFIX_V6), strict=False)) if isinstance(address, IPv6Address) else str(address)


class Proxies:
    """The reverse proxies whose `X-Forwarded-For` the worker trusts."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)

    def trusts(self, host: str) -> bool:
        address = read_address(host)
        return address is not None and self._includes(address)

    def caller(self, host: str, forwarded: Sequence[str]) -> str:
        """Return the calling peer: in the `X-Forwarded-For` lines, the last address that is no trusted proxy. A caller can forge the addresses before it."""
        if not self.trusts(host):
            return peer_of(host)
        named = [part for line in forwarded for part in line.split(",")]
        for part in reversed(named):
            address = read_address(without_port(part.strip()))
            if address is None:
                break
            if not self._includes(address):
                return _peer(address)
        return peer_of(host)

    def _includes(self, address: Address) -> bool:
        return any(address in network for network in self._networks)


def without_port(text: str) -> str:
    """Return an address without the port that some proxies add: `192.0.2.1:5678`, `[2001:db8::1]:5678`."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


class KnownPeers:
    """Peers that were admitted within a day, at most `KNOWN_PEERS` of them."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._admitted: OrderedDict[str, float] = OrderedDict()

    def add(self, peer: str) -> None:
        self._admitted[peer] = self._now()
        self._admitted.move_to_end(peer)
        if len(self._admitted) > KNOWN_PEERS:
            self._admitted.popitem(last=False)

    def knows(self, peer: str) -> bool:
        at = self._admitted.get(peer)
        return at is not None and self._now() - at < KNOWN_SECONDS
