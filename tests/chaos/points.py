"""Exact places of the conversations: what is seen on its way there is let through or lost, and then somebody strikes."""

from __future__ import annotations

import asyncio

from tests.chaos.world import Replica
from tests.tools.proxy import Proxy

# AMQP's methods as they stand in a frame: class and number.
PUBLISH, ACK, DELIVER = b"\x00\x3c\x00\x28", b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x3c"
# Where each point is: at the broker's proxy or Halo's, on the way up or down, and what is then seen.
PLACES: dict[str, tuple[str, bool, bytes]] = {
    "post leaves": ("halo", True, b"POST /api/"),
    "post answered": ("halo", False, b"HTTP/1.1 201"),
    "lookup leaves": ("halo", True, b"search="),
    "lookup answered": ("halo", False, b'"record_count"'),
    "publish leaves": ("broker", True, PUBLISH),
    "publish confirmed": ("broker", False, ACK),
    "ack leaves": ("broker", True, ACK),
    "delivery arrives": ("broker", False, DELIVER),
}


class Point:
    """Waits for something to come by a replica's proxy; `came` is set when it has, and from then on nothing passes if it `vanishes`."""

    def __init__(self, replica: Replica, name: str, *, vanishes: bool) -> None:
        where, self._up, self._pattern = PLACES[name]
        self._proxy: Proxy = replica.halo if where == "halo" else replica.broker
        self._vanishes = vanishes
        self.came = asyncio.Event()

    def watch(self, data: bytes, up: bool) -> bool:
        if not self.came.is_set() and up is self._up and self._pattern in data:
            self.came.set()
        return not (self._vanishes and self.came.is_set())

    async def reached(self, within: float) -> bool:
        """Whether it came by; the watch stands until `lift`."""
        self._proxy.watch = self.watch
        try:
            async with asyncio.timeout(within):
                await self.came.wait()
        except TimeoutError:
            self.lift()
            return False
        return True

    def lift(self) -> None:
        if self._proxy.watch == self.watch:
            self._proxy.watch = None
