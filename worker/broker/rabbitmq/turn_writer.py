"""Writes the acknowledgements of one turn of the event loop in one piece, ahead of aiormq's queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pamqp.base import Frame
from pamqp.frame import marshal


class TurnWriter:
    """Writes methods of many channels. `write`: writes whole frames at once; False: it wrote nothing that could still arrive.

    With aiormq's queue each acknowledgement is a write of its own, which wakes RabbitMQ, and takes five more turns of the event loop.
    """

    def __init__(self, write: Callable[[bytes], bool]) -> None:
        self._write = write
        self._waiting: list[tuple[Frame, Any, asyncio.Future[bool]]] = []

    async def write(self, method: Frame, channel: Any) -> bool:
        """Write a method on aiormq's `channel` at the end of this turn. False: nothing was written that could still arrive."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._write_all)
        written: asyncio.Future[bool] = loop.create_future()
        self._waiting.append((method, channel, written))
        return await written

    def _write_all(self) -> None:
        waiting, self._waiting = self._waiting, []
        ready = [is_open(channel) for _, channel, _ in waiting]
        done = False
        try:
            done = self._write(b"".join([marshal(method, channel.number) for (method, channel, _), is_ready in zip(waiting, ready, strict=True) if is_ready]))
        finally:
            for (_, _, written), is_ready in zip(waiting, ready, strict=True):
                if not written.done():
                    written.set_result(done and is_ready)


def is_open(channel: Any) -> bool:
    """Whether a channel of aiormq is open on both sides. RabbitMQ ends a connection over a method on a channel whose close is confirmed."""
    return not channel.is_closed and channel._close_exception is None  # noqa: SLF001 - set before the confirmation; `is_closed` follows later
