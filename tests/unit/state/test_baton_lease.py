"""Passing the baton on: one holder's progress counts, whatever crashes and whoever else puts one."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import orjson
import pytest
from structlog.testing import capture_logs

from tests.tools.waiting import SOON
from worker.broker.memory import MemoryBroker, MemoryServer, attach
from worker.core.errors import ChannelLost, Unroutable
from worker.core.message import Message
from worker.core.topology import Topology, bootstrap_marker, browsable_queue, state_queue, subscriber_dead_queue, wait_queue
from worker.metrics import Metrics
from worker.state.baton import VERSION, Baton
from worker.state.baton_lease import BatonLease, HeldBaton, open_lease, put_baton
from worker.state.bootstrap import baton_visible, ensure_baton, put_new_baton, restart_baton

STATE, WAIT = state_queue("tickets"), wait_queue("tickets")


@dataclass
class Clock:
    """Stands still until somebody sleeps."""

    at: float = 1_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        await asyncio.sleep(0)


async def taken(lease: BatonLease) -> HeldBaton | None:
    await lease.listen()
    async with asyncio.timeout(SOON):
        return await lease.take(await lease.arrival())


async def depths(broker: MemoryBroker) -> tuple[int | None, int | None]:
    return await broker.queue_depth(STATE), await broker.queue_depth(WAIT)


async def lying(broker: MemoryBroker) -> list[Baton]:
    """The batons on both queues, taken off."""
    found = []
    async with broker.channel() as channel:
        for queue in (STATE, WAIT):
            while (delivery := await channel.get(queue)) is not None:
                found.append(Baton.decode(delivery.message.body))
                await delivery.ack()
    return found


async def test_of_several_batons_the_furthest_stays_and_the_others_go(declared: MemoryBroker):
    for generation in (3, 9, 5):
        await put_new_baton(declared, "tickets", Baton(generation=generation))
    await declared.publish(Message(Baton(generation=7).encode(), expiration=60), routing_key=WAIT)
    async with open_lease(declared, Clock(), "tickets") as (lease, _):
        held = await taken(lease)
        assert held is not None
        assert held.baton.generation == 9
        await lease.put(held, held.baton.advanced())
    assert [baton.generation for baton in await lying(declared)] == [10]


async def test_a_baton_that_is_not_due_waits_and_comes_when_it_is(declared: MemoryBroker):
    await put_new_baton(declared, "tickets", Baton())
    clock = Clock()
    async with open_lease(declared, clock, "tickets") as (lease, _):
        held = await taken(lease)
        assert held is not None
        await lease.put(held, held.baton.advanced(due=clock.now() + 0.4))
        assert await depths(declared) == (0, 1)
        async with asyncio.timeout(SOON):
            again = await lease.take(await lease.arrival())
        assert again is not None
        assert again.baton.generation == 1


async def test_a_holder_that_dies_with_the_baton_gives_it_back(declared: MemoryBroker):
    await put_new_baton(declared, "tickets", Baton(generation=4))
    async with open_lease(declared, Clock(), "tickets") as (lease, _):
        assert await taken(lease) is not None
    assert [baton.generation for baton in await lying(declared)] == [4]


async def test_a_crash_between_publish_and_ack_leaves_one_progress(declared: MemoryBroker):
    await put_new_baton(declared, "tickets", Baton(generation=4))
    async with open_lease(declared, Clock(), "tickets") as (lease, channel):
        held = await taken(lease)
        assert held is not None
        await put_baton(channel, Clock(), "tickets", held.baton.advanced(polls=1, due=2_000.0))
    assert await depths(declared) == (1, 1)
    async with open_lease(declared, Clock(), "tickets") as (lease, _):
        held = await taken(lease)
        assert held is not None
        assert (held.baton.generation, held.baton.polls) == (5, 1)
        await lease.put(held, held.baton.advanced())
    assert [baton.generation for baton in await lying(declared)] == [6]


async def test_a_holder_whose_connection_died_cannot_put_over_anothers_progress(server: MemoryServer, declared: MemoryBroker):
    await put_new_baton(declared, "tickets", Baton(generation=4))
    async with attach(server, "two") as other, open_lease(other, Clock(), "tickets") as (lease, _):
        held = await taken(lease)
        assert held is not None
        other.lose("the connection was cut")
        with pytest.raises(ChannelLost):
            await lease.put(held, held.baton.advanced())
    assert [baton.generation for baton in await lying(declared)] == [4]


async def test_a_baton_whose_successor_the_broker_does_not_take_is_not_let_go(server: MemoryServer, declared: MemoryBroker):
    await put_new_baton(declared, "tickets", Baton(generation=4))
    async with open_lease(declared, Clock(), "tickets") as (lease, _):
        held = await taken(lease)
        assert held is not None
        server.delete_queue(WAIT)
        with pytest.raises(Unroutable):
            await lease.put(held, held.baton.advanced(due=5_000.0))
    async with declared.channel() as channel:
        back = await channel.get(STATE)
        assert back is not None
        assert Baton.decode(back.message.body).generation == 4


async def test_a_newer_workers_baton_is_left_for_the_newer_worker(declared: MemoryBroker):
    body = orjson.dumps({"v": VERSION + 1, "generation": 8})
    await declared.publish(Message(body), routing_key=STATE)
    async with open_lease(declared, Clock(), "tickets") as (lease, _):
        assert await taken(lease) is None
    assert await depths(declared) == (0, 1)
    async with declared.channel() as channel:
        kept = await channel.get(WAIT)
        assert kept is not None
        assert kept.message.body == body


@pytest.mark.parametrize("body", [b"", b"{}", b"hello"])
async def test_what_is_no_baton_is_taken_off_and_does_not_hide_the_baton(declared: MemoryBroker, body: bytes):
    await declared.publish(Message(body), routing_key=STATE)
    await put_new_baton(declared, "tickets", Baton(generation=4))
    async with open_lease(declared, Clock(), "tickets") as (lease, _):
        held = await taken(lease)
        assert held is not None
        assert held.baton.generation == 4
        await lease.put(held, held.baton)
    assert len(await lying(declared)) == 1


async def test_a_waiting_baton_gets_the_due_time_of_todays_configuration(declared: MemoryBroker):
    await declared.publish(Message(Baton(generation=4, polled=1_000.0, due=90_000.0).encode(), expiration=89_000), routing_key=WAIT)
    async with open_lease(declared, Clock(), "tickets") as (lease, _):
        assert await lease.reschedule(lambda baton: baton.polled + 60) is True
        assert await depths(declared) == (0, 1)
    (baton,) = await lying(declared)
    assert (baton.generation, baton.due) == (4, 1_060.0)


async def test_a_waiting_baton_that_is_overdue_today_comes_at_once(declared: MemoryBroker):
    await declared.publish(Message(Baton(polled=900.0, due=90_000.0).encode(), expiration=89_000), routing_key=WAIT)
    async with open_lease(declared, Clock(), "tickets") as (lease, _):
        await lease.reschedule(lambda baton: baton.polled + 60)
    assert await depths(declared) == (1, 0)


async def test_without_a_waiting_baton_nothing_is_rescheduled(declared: MemoryBroker):
    async with open_lease(declared, Clock(), "tickets") as (lease, _):
        assert await lease.reschedule(lambda _: 0.0) is False


async def test_eight_starters_at_once_make_exactly_one_baton(server: MemoryServer):
    async with AsyncExitStack() as stack:
        brokers = [await stack.enter_async_context(attach(server, str(number))) for number in range(8)]
        await asyncio.gather(*(ensure_baton(broker, Clock(), "tickets") for broker in brokers))
        assert [baton.generation for baton in await lying(brokers[0])] == [0]


async def test_a_subscriber_is_born_once_even_when_its_baton_is_gone(broker: MemoryBroker):
    await ensure_baton(broker, Clock(), "tickets")
    assert len(await lying(broker)) == 1
    await ensure_baton(broker, Clock(), "tickets")
    assert await lying(broker) == []
    assert await broker.queue_exists(bootstrap_marker("tickets"))


async def test_a_baton_is_in_sight_while_it_waits_or_is_due_and_not_while_it_is_held(declared: MemoryBroker):
    assert not await baton_visible(declared, "tickets")
    await put_new_baton(declared, "tickets", Baton())
    assert await baton_visible(declared, "tickets")
    async with open_lease(declared, Clock(), "tickets") as (lease, _):
        held = await taken(lease)
        assert held is not None
        assert not await baton_visible(declared, "tickets")
        await lease.put(held, replace(held.baton, due=5_000.0))
        assert await baton_visible(declared, "tickets")


async def test_starting_again_puts_one_baton_above_any_that_may_come_back(declared: MemoryBroker):
    assert await restart_baton(declared, Clock(), "tickets")
    assert not await restart_baton(declared, Clock(), "tickets")
    await put_new_baton(declared, "tickets", Baton(epoch=3, generation=900))
    async with open_lease(declared, Clock(), "tickets") as (lease, _):
        held = await taken(lease)
        assert held is not None
        assert (held.baton.epoch, held.baton.generation) == (1_000, 0)


async def test_of_several_that_start_again_at_once_one_does(server: MemoryServer, declared: MemoryBroker):
    async with AsyncExitStack() as stack:
        brokers = [await stack.enter_async_context(attach(server, f"r{number}")) for number in range(4)]
        assert sum(await asyncio.gather(*(restart_baton(broker, Clock(), "tickets") for broker in brokers))) == 1
    assert len(await lying(declared)) == 1


async def test_a_baton_that_no_worker_can_have_written_moves_nothing_and_is_told_counted_and_kept(declared: MemoryBroker):
    await declared.declare(Topology(queues=(browsable_queue(subscriber_dead_queue("tickets")),)))
    metrics, clock = Metrics(), Clock()
    await put_new_baton(declared, "tickets", Baton(generation=3))
    forged = Baton(epoch=5, generation=9, cursor=datetime(2098, 1, 1, tzinfo=UTC), learnt=True)
    await put_new_baton(declared, "tickets", forged)
    with capture_logs() as lines:
        async with open_lease(declared, clock, "tickets", metrics) as (lease, _):
            held = await taken(lease)
            assert held is not None
            assert held.baton.generation == 3
            await lease.put(held, held.baton.advanced())
    assert [line["event"] for line in lines] == ["baton.refused"]
    assert metrics.registry.get_sample_value("halo_worker_refused_state_total", {"kind": "baton"}) == 1.0
    assert [baton.generation for baton in await lying(declared)] == [4]
    async with declared.channel() as channel:
        kept = await channel.get(subscriber_dead_queue("tickets"))
    assert kept is not None
    assert Baton.decode(kept.message.body) == forged
