"""The ledger on both brokers: over all replicas exactly one is first."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from uuid import uuid4

import pytest

from tests.brokers.conftest import World
from tests.tools.waiting import soon, until
from worker.core.clock import SystemClock
from worker.core.errors import BrokerError
from worker.core.ledger import Claim, Key, Kind
from worker.core.message import Message
from worker.core.ports import Clock
from worker.core.topology import CLAIMS, claims_topology
from worker.metrics import Metrics
from worker.state.claim_index import ClaimEntry, ClaimIndex, encoded
from worker.state.stream_ledger import StreamLedger, open_ledger

CLOCK = SystemClock()


def key(text: str) -> Key:
    return Key(Kind.ATTEMPT, (text,))


@pytest.fixture
async def replicas(world: World):
    async with AsyncExitStack() as stack:

        async def make(number: int, clock: Clock = CLOCK) -> list[StreamLedger]:
            made = []
            for _ in range(number):
                broker = await stack.enter_async_context(world.attach())
                await broker.declare(claims_topology())
                made.append(await stack.enter_async_context(open_ledger(broker, clock)))
            return made

        yield make


async def test_of_three_replicas_exactly_one_has_each_key(replicas):
    three = await replicas(3)
    claims = [replica.claim(key(f"key {name}"), f"message {number}") for name in range(100) for number, replica in enumerate(three)]
    got = await soon(asyncio.gather(*claims), 30)
    for name in range(100):
        assert sorted(claim.value for claim in got[3 * name : 3 * name + 3]) == ["taken", "taken", "won"]


async def test_the_same_message_again_is_told_apart_from_another_one(replicas):
    first, second = await replicas(2)
    assert await soon(first.claim(key("k"), "m")) is Claim.WON
    assert await soon(second.claim(key("k"), "m")) is Claim.AGAIN
    assert await soon(second.claim(key("k"), "other")) is Claim.TAKEN
    assert await soon(first.claim(key("another"), "other")) is Claim.WON


async def test_a_replica_that_starts_later_knows_what_was_claimed(replicas):
    [early] = await replicas(1)
    await soon(asyncio.gather(*[early.claim(key(str(number)), "m") for number in range(50)]))
    [late] = await replicas(1)
    assert await soon(late.claim(key("7"), "other")) is Claim.TAKEN
    assert await late.knows(key("49"))
    assert not await late.knows(key("50"))


class Ahead(SystemClock):
    """A machine whose clock goes before the others'."""

    def now(self) -> float:
        return super().now() + 1000


async def test_a_replica_whose_clock_is_ahead_knows_what_was_claimed_as_well(replicas):
    [early] = await replicas(1)
    await soon(early.claim(key("k"), "m"))
    [late] = await replicas(1, Ahead())
    assert await soon(late.claim(key("k"), "other")) is Claim.TAKEN


async def test_what_was_claimed_more_than_a_day_ago_is_free(replicas, world: World):
    async with world.attach() as broker:
        await broker.declare(claims_topology())
        await broker.publish(Message(encoded([ClaimEntry.of(str(key("k")), "old", CLOCK.now() - 90_000)])), routing_key=CLAIMS)
    [replica] = await replicas(1)
    assert await soon(replica.claim(key("k"), "new")) is Claim.WON


async def test_a_key_that_is_waited_for_is_seen_as_soon_as_another_replica_has_it(replicas):
    one, other = await replicas(2)
    waiting = asyncio.create_task(one.knows(key("k"), within=30))
    assert not await one.knows(key("k"), within=0.01)
    await soon(other.claim(key("k"), "m"))
    assert await soon(waiting)
    assert await one.knows(key("k"), within=30)


async def test_strange_messages_in_the_stream_do_no_harm(replicas, world: World):
    [replica] = await replicas(1)
    async with world.attach() as broker:
        await broker.publish(Message(b"hello"), routing_key=CLAIMS)
    assert await soon(replica.claim(key("k"), "m")) is Claim.WON


async def test_claims_end_with_their_attachment_and_a_new_one_goes_on(world: World):
    index = ClaimIndex()
    async with world.attach() as broker:
        await broker.declare(claims_topology())
        async with open_ledger(broker, CLOCK, index) as claims:
            await soon(claims.claim(key("k"), "m"))
            waiting = asyncio.create_task(claims.knows(key("never"), within=30))
            await asyncio.sleep(0)
            world.cut()
            await soon(broker.wait_lost())
            with pytest.raises(BrokerError):
                await soon(waiting)
            with pytest.raises(BrokerError):
                await soon(claims.claim(key("other"), "m"))
            with pytest.raises(BrokerError):
                await soon(claims.knows(key("k")))
    read = index.last
    async with world.attach() as broker, open_ledger(broker, CLOCK, index) as claims:
        assert await soon(claims.claim(key("k"), "other")) is Claim.TAKEN
        assert await soon(claims.claim(key("k"), "m")) is Claim.AGAIN
    assert read is not None
    assert index.last is not None
    assert index.last[0] == read[0] + 2


async def test_a_claim_under_way_when_the_attachment_is_lost_ends_with_an_error(world: World):
    async with world.attach() as broker:
        await broker.declare(claims_topology())
        async with open_ledger(broker, CLOCK) as claims:
            await soon(claims.claim(key("k"), "m"))
            under_way = [asyncio.create_task(claims.claim(key(str(number)), "m")) for number in range(50)]
            await asyncio.sleep(0)
            world.cut()
            ended = await soon(asyncio.gather(*under_way, return_exceptions=True))
    assert {type(end) for end in ended if not isinstance(end, BrokerError)} <= {Claim}
    assert any(isinstance(end, BrokerError) for end in ended)


@pytest.mark.parametrize("entries", [0, 3, 20])
async def test_another_stream_of_the_same_name_is_not_mistaken_for_the_one_that_was_read(world: World, entries, monkeypatch):
    """It was deleted and made again while we were not attached; offsets of the one say nothing of the other."""
    monkeypatch.setattr("worker.state.stream_follower.RETRY", 0.05)
    monkeypatch.setattr("worker.state.stream_follower.SILENCE", 0.3)
    index = ClaimIndex()
    async with world.attach() as broker:
        await broker.declare(claims_topology())
        async with open_ledger(broker, CLOCK, index) as claims:
            for number in range(5):
                await soon(claims.claim(key(f"old {number}"), "m"))
    world.delete_queue(CLAIMS)
    async with world.attach() as broker:
        await broker.declare(claims_topology())
        for number in range(entries):
            await broker.publish(Message(encoded([ClaimEntry.of(str(key(f"new {number}")), "m", CLOCK.now())])), routing_key=CLAIMS)
        async with open_ledger(broker, CLOCK, index) as claims:
            await until(partial(works, claims))
            assert await soon(claims.claim(key("old 1"), "other")) is Claim.WON
            assert [await soon(claims.claim(key(f"new {number}"), "other")) for number in range(entries)] == [Claim.TAKEN] * entries


async def works(claims: StreamLedger) -> bool:
    try:
        await claims.claim(key(uuid4().hex), "m")
    except BrokerError:
        return False
    return True


async def test_a_deleted_stream_is_made_again_and_read_from_its_beginning(world: World, monkeypatch):
    monkeypatch.setattr("worker.state.stream_follower.RETRY", 0.05)
    monkeypatch.setattr("worker.state.stream_follower.SILENCE", 0.3)
    async with world.attach() as broker:
        await broker.declare(claims_topology())
        async with open_ledger(broker, CLOCK) as claims:
            for number in range(5):
                await soon(claims.claim(key(str(number)), "m"))
            world.delete_queue(CLAIMS)

            await until(partial(works, claims))
            assert await soon(claims.claim(key("1"), "other")) is Claim.WON


async def test_a_claim_that_is_dated_ahead_holds_no_key_and_is_counted(world):
    metrics = Metrics()
    async with world.attach() as broker:
        await broker.declare(claims_topology())
        for ahead in (2 * 3600, 10 * 365 * 86_400):
            await broker.publish(Message(encoded([ClaimEntry.of(str(key("k")), "forged", CLOCK.now() + ahead)])), routing_key=CLAIMS)
        async with open_ledger(broker, CLOCK, metrics=metrics) as claims:
            assert await soon(claims.claim(key("k"), "m")) is Claim.WON
            assert not await claims.knows(key("another"))
    assert metrics.registry.get_sample_value("halo_worker_refused_state_total", {"kind": "claim"}) == 2.0
