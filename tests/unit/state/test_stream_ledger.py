"""Claims wait until their stream is read, and a small stream is read from its first message: RabbitMQ may pass over what is published while a reader attaches by time."""

from __future__ import annotations

import asyncio

import pytest

from tests.tools.waiting import soon
from worker.broker.memory import MemoryServer
from worker.broker.memory.attachment import MemoryBroker
from worker.broker.open import open_broker
from worker.core.clock import SystemClock
from worker.core.errors import ChannelLost
from worker.core.ledger import Claim, visit_key
from worker.core.topology import CLAIMS, claims_topology
from worker.metrics import Metrics
from worker.state import stream_follower
from worker.state.claim_index import ClaimIndex
from worker.state.stream_follower import StreamFollower
from worker.state.stream_ledger import StreamLedger, open_ledger

CLOCK = SystemClock()


async def test_a_claim_goes_out_only_when_its_stream_is_read():
    async with open_broker("memory://", name="test", server=MemoryServer()) as broker:
        await broker.declare(claims_topology())
        ledger = StreamLedger(broker, CLOCK, ClaimIndex(), Metrics())
        claiming = asyncio.create_task(ledger.claim(visit_key("r", 1), "m"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert await broker.queue_depth(CLAIMS) == 0
        following = asyncio.create_task(ledger.follow())
        assert await soon(claiming) is Claim.WON
        following.cancel()
        await asyncio.wait([following])


async def test_a_small_stream_is_read_from_its_first_message_and_a_large_one_by_time(monkeypatch):
    follower = StreamFollower(CLAIMS, claims_topology(), CLOCK, kept=60.0)
    async with open_broker("memory://", name="test", server=MemoryServer()) as broker:
        await broker.declare(claims_topology())
        assert isinstance(broker, MemoryBroker)
        assert await follower._start(broker) == "first"
        monkeypatch.setattr(stream_follower, "FROM_FIRST", -1)
        assert not isinstance(await follower._start(broker), str | int)


async def test_claims_that_come_turn_by_turn_go_out_together():
    """As under load, where each turn of the event loop brings one more delivery to its claim."""
    async with open_broker("memory://", name="test", server=MemoryServer()) as broker, open_ledger(broker, CLOCK) as ledger:
        assert await soon(ledger.claim(visit_key("r", 0), "m")) is Claim.WON
        claiming = []
        for number in range(1, 6):
            claiming.append(asyncio.create_task(ledger.claim(visit_key("r", number), "m")))
            await asyncio.sleep(0)
        assert await soon(asyncio.gather(*claiming)) == [Claim.WON] * 5
        assert await broker.queue_depth(CLAIMS) == 2


async def test_claims_that_never_stop_coming_hold_up_none():
    async with open_broker("memory://", name="test", server=MemoryServer()) as broker, open_ledger(broker, CLOCK) as ledger:
        claiming = [asyncio.create_task(ledger.claim(visit_key("r", 0), "m"))]
        while not claiming[0].done() and len(claiming) < 1000:
            claiming.append(asyncio.create_task(ledger.claim(visit_key("r", len(claiming)), "m")))
            await asyncio.sleep(0)
        assert claiming[0].done()
        assert await soon(asyncio.gather(*claiming)) == [Claim.WON] * len(claiming)


async def test_what_is_gathered_when_the_stream_is_read_no_more_ends_and_does_not_go_out():
    async with open_broker("memory://", name="test", server=MemoryServer()) as broker, open_ledger(broker, CLOCK) as ledger:
        assert await soon(ledger.claim(visit_key("r", 0), "m")) is Claim.WON
        claiming = asyncio.create_task(ledger.claim(visit_key("r", 1), "m"))
        await asyncio.sleep(0)
        ledger.close("the stream is gone")
        with pytest.raises(ChannelLost, match="the stream is gone"):
            await soon(claiming)
        await asyncio.sleep(0.01)
        assert await broker.queue_depth(CLAIMS) == 1
