"""Who holds a message, and what becomes of it when the holder goes, on both brokers."""

from __future__ import annotations

import asyncio

import pytest

from tests.brokers.conftest import World
from tests.tools.waiting import soon, until
from worker.core.errors import BrokerError, ChannelLost
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Channel
from worker.core.topology import Queue, Topology, browsable_queue, dead_lettering_queue


class Inbox:
    """What a consumer was handed, in order."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._came = asyncio.Event()

    def __call__(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._came.set()

    @property
    def bodies(self) -> list[bytes]:
        return [delivery.message.body for delivery in self.deliveries]

    async def has(self, number: int) -> None:
        while len(self.deliveries) < number:
            self._came.clear()
            await soon(self._came.wait())


@pytest.fixture
async def ready(broker: Broker) -> Broker:
    await broker.declare(Topology(queues=(browsable_queue("in"), browsable_queue("out"))))
    return broker


async def publish(broker: Broker, queue: str, *bodies: bytes) -> None:
    for body in bodies:
        await broker.publish(Message(body), routing_key=queue)


async def get(channel: Channel, queue: str) -> Delivery:
    return await until(lambda: channel.get(queue))


async def get_batch(broker: Broker, queue: str, number: int) -> list[Delivery]:
    """All messages of a queue, left where they are."""
    async with broker.channel() as channel:
        return [await get(channel, queue) for _ in range(number)]


async def test_a_consumer_gets_messages_in_order_and_is_told_of_new_ones(ready: Broker):
    await publish(ready, "in", b"1", b"2")
    async with ready.channel(prefetch=10) as channel:
        inbox = Inbox()
        await channel.consume("in", inbox)
        await inbox.has(2)
        await publish(ready, "in", b"3")
        await inbox.has(3)
    assert inbox.bodies == [b"1", b"2", b"3"]
    assert {delivery.queue for delivery in inbox.deliveries} == {"in"}


async def test_a_delivery_and_all_before_it_are_acknowledged_at_once_and_those_behind_it_are_not(ready: Broker):
    await publish(ready, "in", b"1", b"2", b"3", b"4", b"5")
    async with ready.channel(prefetch=10) as channel:
        inbox = Inbox()
        await channel.consume("in", inbox)
        await inbox.has(5)
        await inbox.deliveries[1].give_back()
        await inbox.has(6)
        await channel.ack_through(inbox.deliveries[3])

    async def returned() -> bool:
        return await ready.queue_depth("in") == 2

    await until(returned)
    assert sorted(delivery.message.body for delivery in await get_batch(ready, "in", 2)) == [b"2", b"5"]


async def test_no_more_than_the_prefetch_is_in_hand(ready: Broker):
    await publish(ready, "in", b"1", b"2", b"3", b"4")
    async with ready.channel(prefetch=2) as channel:
        inbox = Inbox()
        await channel.consume("in", inbox)
        await inbox.has(2)
        await until(lambda: depth_is(ready, "in", 2))
        assert inbox.bodies == [b"1", b"2"]
        await inbox.deliveries[0].ack()
        await inbox.has(3)
        assert inbox.bodies == [b"1", b"2", b"3"]


async def depth_is(broker: Broker, queue: str, depth: int) -> bool:
    return await broker.queue_depth(queue) == depth


async def test_messages_are_shared_between_consumers(ready: Broker):
    async with ready.channel(prefetch=1) as first, ready.channel(prefetch=1) as second:
        left, right = Inbox(), Inbox()
        await first.consume("in", left)
        await second.consume("in", right)
        await publish(ready, "in", b"1", b"2")
        await left.has(1)
        await right.has(1)
    assert sorted(left.bodies + right.bodies) == [b"1", b"2"]


async def test_a_closed_channel_gives_back_what_it_held_in_order_and_marked(ready: Broker):
    await publish(ready, "in", b"1", b"2", b"3")
    async with ready.channel() as channel:
        held = [await get(channel, "in") for _ in range(2)]
        assert [delivery.redelivered for delivery in held] == [False, False]
    again = await get_batch(ready, "in", 3)
    assert [(delivery.message.body, delivery.redelivered) for delivery in again] == [(b"1", True), (b"2", True), (b"3", False)]
    assert [delivery.message.headers.get("x-delivery-count", 0) for delivery in again] == [1, 1, 0]


async def test_an_ack_after_its_channel_closed_is_an_error_and_changes_nothing(ready: Broker):
    await publish(ready, "in", b"1")
    async with ready.channel() as channel:
        delivery = await get(channel, "in")
    with pytest.raises(ChannelLost):
        await delivery.ack()
    assert [again.redelivered for again in await get_batch(ready, "in", 1)] == [True]


async def test_a_cancelled_consumer_gets_no_more_and_keeps_what_it_has(ready: Broker):
    async with ready.channel(prefetch=5) as channel:
        inbox = Inbox()
        tag = await channel.consume("in", inbox)
        await publish(ready, "in", b"1")
        await inbox.has(1)
        await channel.cancel(tag)
        await publish(ready, "in", b"2")
        await until(lambda: depth_is(ready, "in", 1))
        await inbox.deliveries[0].ack()
    assert inbox.bodies == [b"1"]
    assert [(delivery.message.body, delivery.redelivered) for delivery in await get_batch(ready, "in", 1)] == [(b"2", False)]


async def test_a_message_returned_too_often_is_buried_with_its_headers(broker: Broker):
    await broker.declare(Topology(queues=(browsable_queue("dead"), dead_lettering_queue("work", "dead", limit=2))))
    await broker.publish(Message(b"poison", {"mine": 1}, message_id="m"), routing_key="work")
    await publish(broker, "work", b"good")
    for _ in range(3):
        async with broker.channel() as channel:
            assert (await get(channel, "work")).message.body == b"poison"
    [dead] = await get_batch(broker, "dead", 1)
    assert (dead.message.body, dead.message.headers["mine"], dead.message.message_id) == (b"poison", 1, "m")
    assert (dead.message.headers["x-first-death-reason"], dead.message.headers["x-first-death-queue"]) == ("delivery_limit", "work")
    assert [(death["queue"], death["reason"], death["count"]) for death in dead.message.headers["x-death"]] == [("work", "delivery_limit", 1)]
    assert [delivery.message.body for delivery in await get_batch(broker, "work", 1)] == [b"good"]


async def test_a_browsed_queue_loses_nothing_by_being_looked_at(ready: Broker):
    await publish(ready, "in", b"1")
    for _ in range(30):
        assert len(await get_batch(ready, "in", 1)) == 1


async def test_a_cut_connection_gives_everything_back_and_is_noticed(world: World, ready: Broker):
    await publish(ready, "in", b"1")
    async with world.attach() as other, other.channel(prefetch=1) as channel:
        inbox = Inbox()
        await channel.consume("in", inbox)
        await inbox.has(1)
        world.cut()
        assert await soon(other.wait_lost())
        assert await soon(channel.wait_closed())
        assert other.lost
        with pytest.raises(ChannelLost):
            await inbox.deliveries[0].ack()
        with pytest.raises(BrokerError):
            await channel.get("in")
        with pytest.raises(BrokerError):
            await channel.publish(Message(b"x"), routing_key="in")
        with pytest.raises(BrokerError):
            await other.publish(Message(b"x"), routing_key="in")
        with pytest.raises(BrokerError):
            async with other.channel():
                pass
    async with world.attach() as fresh:
        assert [delivery.redelivered for delivery in await get_batch(fresh, "in", 1)] == [True]


async def test_a_deleted_queue_is_noticed_by_its_consumer_while_the_connection_lives(world: World, ready: Broker):
    async with ready.channel(prefetch=1) as channel:
        await channel.consume("in", Inbox())
        await asyncio.to_thread(world.delete_queue, "in") if world.kind == "rabbitmq" else world.delete_queue("in")
        assert "cancelled" in await soon(channel.wait_closed())
    assert not ready.lost
    await publish(ready, "out", b"1")


async def test_a_channel_that_closed_is_noticed_while_the_connection_lives(ready: Broker):
    async with ready.channel(prefetch=1) as channel:
        closed = asyncio.create_task(channel.wait_closed())
        with pytest.raises(BrokerError):
            await channel.get("nowhere")
        with pytest.raises(BrokerError):
            await until(lambda: channel.get("in"))
        assert await soon(closed)
    assert not ready.lost


async def test_closing_an_attachment_returns_what_its_channels_hold(world: World, ready: Broker):
    await publish(ready, "in", b"1")
    async with world.attach() as other:
        closing = asyncio.create_task(other.wait_lost())
        async with other.channel() as channel:
            await get(channel, "in")
    assert await soon(closing)
    assert [delivery.redelivered for delivery in await get_batch(ready, "in", 1)] == [True]


async def test_take_publish_and_ack_on_one_channel_moves_the_message(ready: Broker):
    await publish(ready, "in", b"1")
    async with ready.channel(prefetch=1, publishing=True) as channel:
        inbox = Inbox()
        await channel.consume("in", inbox)
        await inbox.has(1)
        await channel.publish(Message(b"2"), routing_key="out")
        await inbox.deliveries[0].ack()
    assert [delivery.message.body for delivery in await get_batch(ready, "out", 1)] == [b"2"]
    assert await until(lambda: depth_is(ready, "in", 0))


async def test_a_cut_between_publish_and_ack_leaves_both_messages(world: World, ready: Broker):
    await publish(ready, "in", b"old")
    async with world.attach() as holder, holder.channel(prefetch=1, publishing=True) as channel:
        delivery = await get(channel, "in")
        await channel.publish(Message(b"new"), routing_key="in")
        world.cut()
        await asyncio.sleep(0)  # the proxy closes its sockets in the next turn of this loop
        with pytest.raises(ChannelLost):
            await delivery.ack()
    async with world.attach() as fresh:
        left = await get_batch(fresh, "in", 2)
    assert sorted((delivery.message.body, delivery.redelivered) for delivery in left) == [(b"new", False), (b"old", True)]


async def test_a_holder_that_was_cut_cannot_publish_over_anothers_progress(world: World, ready: Broker):
    await publish(ready, "in", b"baton")
    async with world.attach() as holder, holder.channel(prefetch=1, publishing=True) as channel:
        await get(channel, "in")
        world.cut()
        with pytest.raises(BrokerError):
            await channel.publish(Message(b"late"), routing_key="in")
    async with world.attach() as fresh:
        assert [delivery.message.body for delivery in await get_batch(fresh, "in", 1)] == [b"baton"]
        assert await fresh.queue_depth("in") == 1 or await until(lambda: depth_is(fresh, "in", 1))


async def test_a_lock_is_had_by_one_and_is_free_after_it(world: World, broker: Broker):
    async with world.attach() as other:
        async with broker.lock("l") as mine:
            async with other.lock("l") as theirs, broker.lock("l") as mine_again, other.lock("other") as another:
                assert (mine, theirs, mine_again, another) == (True, False, False, True)
            await broker.declare(Topology(queues=(browsable_queue("q"),)))  # a refused lock breaks nothing else
        async with other.lock("l") as theirs:
            assert theirs


async def test_a_lock_falls_with_its_connection(world: World):
    async with world.attach() as holder, holder.lock("l") as had:
        assert had
        world.cut()
        await soon(holder.wait_lost())

        async def can_be_had() -> bool:
            async with world.attach() as other, other.lock("l") as taken:
                return taken

        await until(can_be_had)


async def test_a_classic_queue_works_as_well(broker: Broker):
    await broker.declare(Topology(queues=(Queue("classic", {"x-queue-type": "classic"}), Queue("plain"))))
    for name in ("classic", "plain"):
        await publish(broker, name, b"1")
        assert [delivery.redelivered for delivery in await get_batch(broker, name, 1)] == [False]
        assert [delivery.redelivered for delivery in await get_batch(broker, name, 1)] == [True]
