"""When the reader of a stream acknowledges: seldom enough to cost little, often enough that RabbitMQ goes on."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from tests.tools.waiting import soon
from worker.core.message import Delivery
from worker.core.ports import Channel
from worker.state.stream_follower import StreamReader


class CountingChannel:
    """Counts acknowledgements."""

    def __init__(self) -> None:
        self.acks = 0
        self.acked = asyncio.Event()

    async def ack_all(self) -> None:
        self.acks += 1
        self.acked.set()


async def read(channel: CountingChannel, prefetch: int, count: int) -> StreamReader:
    """A reader that was called once for each delivery."""
    reader = StreamReader("numbers", cast("Channel", channel), asyncio.get_running_loop().create_future(), prefetch)
    for _ in range(count):
        reader.on_delivery(cast("Delivery", object()))
        assert len(await soon(reader.batch())) == 1
    return reader


@pytest.mark.parametrize(("prefetch", "count", "acks"), [(500, 250, 0), (500, 251, 1), (500, 1001, 4), (1, 4, 3), (4, 5, 2)])
async def test_deliveries_are_acknowledged_together_before_the_prefetch_is_used_up(prefetch: int, count: int, acks: int):
    channel = CountingChannel()
    await read(channel, prefetch, count)
    assert channel.acks == acks


async def test_what_is_left_is_acknowledged_once_the_stream_is_silent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.state.stream_follower.ACK_AFTER", 0.01)
    channel = CountingChannel()
    reader = await read(channel, 500, 3)
    waiting: asyncio.Task[Any] = asyncio.ensure_future(reader.batch())
    await soon(channel.acked.wait())
    reader.on_delivery(cast("Delivery", object()))
    assert len(await soon(waiting)) == 1
    assert channel.acks == 1
