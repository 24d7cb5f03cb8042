"""Claims wait until their stream is read, and a small stream is read from its first message: RabbitMQ may pass over what is published while a reader attaches by time."""

from __future__ import annotations

import asyncio

from tests.tools.waiting import soon
from worker.broker.memory import MemoryServer
from worker.broker.memory.attachment import MemoryBroker
from worker.broker.open import open_broker
from worker.core.clock import SystemClock
from worker.core.ledger import Claim, visit_key
from worker.core.topology import CLAIMS, claims_topology
from worker.metrics import Metrics
from worker.state import stream_follower
from worker.state.claim_index import ClaimIndex
from worker.state.stream_follower import StreamFollower
from worker.state.stream_ledger import StreamLedger

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
