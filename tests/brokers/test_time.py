"""Time to live and dead-lettering, on both brokers: the machinery of retries and of the baton."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.brokers.conftest import take
from tests.tools.waiting import until
from worker.core.message import Delivery, Message
from worker.core.ports import Broker, Channel
from worker.core.topology import BROWSED_LIMIT, Queue, Topology, browsable_queue, dead_lettering_queue, work_topology

LONG = 600.0


async def get(channel: Channel, queue: str) -> Delivery:
    return await until(lambda: channel.get(queue))


async def bodies_are(broker: Broker, queue: str, bodies: Sequence[bytes]) -> bool:
    async with broker.channel() as channel:
        found = []
        while delivery := await channel.get(queue):
            found.append(delivery.message.body)
        return found == list(bodies)


@pytest.fixture
async def waiting(broker: Broker) -> Broker:
    await broker.declare(Topology(queues=(browsable_queue("due"), dead_lettering_queue("wait", "due", BROWSED_LIMIT))))
    return broker


async def test_a_message_waits_its_life_and_then_moves_on_with_its_headers(waiting: Broker):
    await waiting.publish(Message(b"1", {"mine": 1}, "m", "c", "r", expiration=0.2), routing_key="wait")
    async with waiting.channel() as channel:
        assert await channel.get("due") is None
    moved = await take(waiting, "due")
    message = moved.message
    assert (message.body, message.headers["mine"], message.message_id, message.correlation_id, message.reply_to) == (b"1", 1, "m", "c", "r")
    assert (message.headers["x-first-death-queue"], message.headers["x-first-death-reason"]) == ("wait", "expired")
    assert (moved.exchange, moved.routing_key, moved.redelivered, message.expiration) == ("", "due", False, None)
    assert await waiting.queue_depth("wait") == 0


async def test_an_expiration_of_zero_moves_on_at_once(waiting: Broker):
    await waiting.publish(Message(b"1", expiration=0), routing_key="wait")
    await waiting.publish(Message(b"2", expiration=-5.0), routing_key="wait")
    assert {(await take(waiting, "due")).message.body for _ in range(2)} == {b"1", b"2"}


async def test_a_life_beyond_what_rabbitmq_takes_is_cut_to_it(waiting: Broker):
    await waiting.publish(Message(b"1", expiration=10 * 365 * 86400.0), routing_key="wait")
    assert (await take(waiting, "wait")).message.expiration == (2**32 - 1) / 1000


async def test_only_the_head_of_a_queue_expires(waiting: Broker):
    await waiting.publish(Message(b"long", expiration=LONG), routing_key="wait")
    await waiting.publish(Message(b"short", expiration=0.01), routing_key="wait")
    await waiting.publish(Message(b"marker"), routing_key="due")
    async with waiting.channel() as channel:
        held = await get(channel, "wait")
        assert held.message.body == b"long"
        await until(lambda: bodies_are(waiting, "due", [b"marker", b"short"]))  # it moves on as soon as the long one is taken


async def test_what_is_in_hand_does_not_expire(waiting: Broker):
    await waiting.publish(Message(b"1", expiration=0.3), routing_key="wait")
    async with waiting.channel() as channel:
        held = await get(channel, "wait")
        await waiting.publish(Message(b"2", expiration=0.4), routing_key="wait")
        await until(lambda: bodies_are(waiting, "due", [b"2"]))
        await held.ack()
    assert await bodies_are(waiting, "due", [b"2"])


async def test_an_expired_message_that_is_given_back_moves_on(waiting: Broker):
    await waiting.publish(Message(b"1", expiration=0.2), routing_key="wait")
    async with waiting.channel() as channel:
        await get(channel, "wait")
        await waiting.publish(Message(b"2", expiration=0.2), routing_key="wait")
        await until(lambda: bodies_are(waiting, "due", [b"2"]))
    await until(lambda: bodies_are(waiting, "due", [b"2", b"1"]))


async def test_copies_of_all_routes_wait_in_the_queue_of_their_delay_and_come_due_in_one_again_and_again(broker: Broker):
    await broker.declare(work_topology("work", [0.05]) + work_topology("other", [0.05]))
    message = Message(b"1", {"mine": 1})
    for _ in range(4):
        await broker.publish(message, routing_key="halo.retry.50ms")
        delivery = await take(broker, "halo.retry.due")
        assert (delivery.message.headers["mine"], delivery.redelivered) == (1, False)
        message = delivery.message


async def test_a_replayed_letter_can_be_retried_again(broker: Broker):
    """RabbitMQ drops a message that expires towards a queue where its headers say it died before."""
    await broker.declare(Topology(queues=(browsable_queue("work.dead"), dead_lettering_queue("work", "work.dead", limit=0))) + work_topology("other", [0.05]))
    await broker.declare(Topology(queues=(dead_lettering_queue("back", "work", BROWSED_LIMIT),)))
    await broker.publish(Message(b"1"), routing_key="work")
    async with broker.channel() as channel:
        await get(channel, "work")
    letter = await take(broker, "work.dead")
    assert letter.message.headers["x-first-death-queue"] == "work"
    await broker.publish(letter.message.with_headers(replays=1), routing_key="work")
    taken = await take(broker, "work")
    await broker.publish(Message(taken.message.body, taken.message.headers, expiration=0.05), routing_key="back")
    assert (await take(broker, "work")).message.headers["replays"] == 1


async def test_the_shorter_of_queue_and_message_life_holds(broker: Broker):
    ttl = {"x-message-ttl": 100}
    await broker.declare(Topology(queues=(browsable_queue("due"), dead_lettering_queue("wait", "due", BROWSED_LIMIT, **ttl))))
    await broker.publish(Message(b"1", expiration=LONG), routing_key="wait")
    assert (await take(broker, "due")).message.body == b"1"


async def test_without_a_target_an_expired_message_is_gone(broker: Broker):
    await broker.declare(Topology(queues=(Queue("plain", {"x-message-ttl": 50}),)))
    await broker.publish(Message(b"1"), routing_key="plain")
    await until(lambda: is_empty(broker, "plain"))


async def is_empty(broker: Broker, queue: str) -> bool:
    return await broker.queue_depth(queue) == 0


async def test_deaths_are_counted_per_queue(waiting: Broker):
    await waiting.publish(Message(b"1", expiration=0), routing_key="wait")
    deaths = (await take(waiting, "due")).message.headers["x-death"]
    assert [(death["queue"], death["reason"], death["count"], death["exchange"], death["routing-keys"]) for death in deaths] == [
        ("wait", "expired", 1, "", ["wait"])
    ]


async def test_many_lives_end_in_order(waiting: Broker):
    for number in range(300):
        await waiting.publish(Message(b"%d" % number, expiration=0.05), routing_key="wait")
    async with waiting.channel() as channel:
        bodies = [(await get(channel, "due")).message.body for _ in range(300)]
    assert bodies == [b"%d" % number for number in range(300)]
