"""Bodies that are not kept, and what can be done with their messages, on both brokers."""

from __future__ import annotations

from hashlib import blake2b

import pytest

from tests.brokers.conftest import take
from tests.brokers.test_deliveries import Inbox, publish
from tests.tools.waiting import until
from worker.core.errors import Unroutable
from worker.core.message import STATE_LIMIT, Announced, DroppedBody, Message, up_to
from worker.core.ports import Broker
from worker.core.topology import Topology, browsable_queue, dead_lettering_queue, stream

FRAMES = 131_072
LARGE = bytes(range(256)) * 2_000  # several frames


@pytest.fixture
async def ready(broker: Broker) -> Broker:
    queues = (
        browsable_queue("in"),
        browsable_queue("dead"),
        dead_lettering_queue("work", "dead", 20),
        stream("log", max_bytes=100_000_000, segment_bytes=10_000_000),
    )
    await broker.declare(Topology(queues=queues))
    return broker


async def test_a_body_that_is_not_wanted_is_told_by_its_size_and_digest(ready: Broker):
    await ready.publish(Message(LARGE, {"kind": "large"}, message_id="m"), routing_key="in")
    async with ready.channel(prefetch=5) as channel:
        inbox = Inbox()
        await channel.consume("in", inbox, keep=up_to(len(LARGE) - 1))
        await inbox.has(1)
        (delivery,) = inbox.deliveries
        assert (delivery.message.body, delivery.message.headers["kind"], delivery.message.message_id) == (b"", "large", "m")
        assert delivery.dropped_body == DroppedBody(len(LARGE), blake2b(LARGE, digest_size=16).digest())
        assert delivery.digest == blake2b(LARGE, digest_size=16).digest()


@pytest.mark.parametrize("size", [0, 1, FRAMES - 8, FRAMES - 7, FRAMES, 3 * FRAMES + 5])
async def test_what_comes_after_a_body_that_is_not_kept_is_whole_whatever_its_size(ready: Broker, size: int):
    await publish(ready, "in", b"x" * size, b"whole" * 50_000, b"x" * size, b"")
    async with ready.channel(prefetch=5) as channel:
        inbox = Inbox()
        await channel.consume("in", inbox, keep=lambda announced: announced.size == 250_000)
        await inbox.has(4)
    assert inbox.bodies == [b"", b"whole" * 50_000, b"", b""]
    assert [0 if delivery.dropped_body is None else delivery.dropped_body.size for delivery in inbox.deliveries] == [size, 0, size, 0]


async def test_whether_a_body_is_kept_is_asked_once_with_what_is_known_of_its_message(ready: Broker):
    await ready.publish(Message(b"12345", message_id="m"), routing_key="in")
    asked: list[Announced] = []

    def keep(announced: Announced) -> bool:
        asked.append(announced)
        return True

    for _ in range(2):
        async with ready.channel(prefetch=5) as channel:
            inbox = Inbox()
            await channel.consume("in", inbox, keep=keep)
            await inbox.has(1)
    assert asked == [Announced(5, "m", redelivered=False), Announced(5, "m", redelivered=True)]


async def test_a_body_is_got_as_it_is_consumed(ready: Broker):
    await publish(ready, "in", LARGE, b"small")
    async with ready.channel() as channel:
        first = await until(lambda: channel.get("in", keep=up_to(1000)))
        second = await until(lambda: channel.get("in", keep=up_to(1000)))
    assert (first.dropped_body and first.dropped_body.size, first.message.body) == (len(LARGE), b"")
    assert (second.dropped_body, second.message.body) == (None, b"small")


async def test_what_is_rejected_is_dead_lettered_whole_and_says_so(ready: Broker):
    await ready.publish(Message(LARGE, {"own": 1}, message_id="m"), routing_key="work")
    async with ready.channel(prefetch=5) as channel:
        inbox = Inbox()
        await channel.consume("work", inbox, keep=up_to(10))
        await inbox.has(1)
        await inbox.deliveries[0].reject()
        await until(lambda: depth_is(ready, "dead", 1))
    letter = await take(ready, "dead")
    assert (letter.message.body, letter.message.message_id, letter.message.headers["own"]) == (LARGE, "m", 1)
    (death,) = letter.message.headers["x-death"]
    assert (death["queue"], death["reason"]) == ("work", "rejected")
    assert await ready.queue_depth("work") == 0


async def test_what_is_given_back_comes_again_first_and_counts_as_delivered(ready: Broker):
    await publish(ready, "in", LARGE, b"2", b"3")
    room = False
    async with ready.channel(prefetch=1) as channel:
        inbox = Inbox()
        await channel.consume("in", inbox, keep=lambda _: room)
        await inbox.has(1)
        room = True
        await inbox.deliveries[0].give_back()
        await inbox.has(2)
        again = inbox.deliveries[1]
        assert (again.message.body, again.redelivered, again.dropped_body) == (LARGE, True, None)
        assert again.message.headers["x-delivery-count"] == 1
        await again.ack()
        await inbox.has(3)
    assert inbox.bodies[2] == b"2"


async def test_messages_without_their_bodies_return_when_the_channel_closes(ready: Broker):
    await publish(ready, "in", LARGE, b"2")
    async with ready.channel(prefetch=2) as channel:
        inbox = Inbox()
        await channel.consume("in", inbox, keep=up_to(0))
        await inbox.has(2)
    assert [(await take(ready, "in")).message.body for _ in range(2)] == [LARGE, b"2"]


@pytest.mark.parametrize("queue", ["in", "log"])
async def test_what_is_larger_than_anything_that_the_worker_writes_for_itself_is_not_kept_by_default(ready: Broker, queue: str):
    await publish(ready, queue, b"x" * STATE_LIMIT, b"x" * (STATE_LIMIT + 1), b"small")
    async with ready.channel(prefetch=5) as channel:
        inbox = Inbox()
        await channel.consume(queue, inbox, arguments={"x-stream-offset": "first"} if queue == "log" else None)
        await inbox.has(3)
    assert [len(body) for body in inbox.bodies] == [STATE_LIMIT, 0, 5]


async def test_an_unroutable_message_of_any_size_is_an_error_that_leaves_the_channel_usable(ready: Broker):
    async with ready.channel(publishing=True) as channel:
        for body in (LARGE, b"small"):
            with pytest.raises(Unroutable):
                await channel.publish(Message(body), routing_key="nowhere")
        await channel.publish(Message(b"fine"), routing_key="in")
    assert (await take(ready, "in")).message.body == b"fine"


async def depth_is(broker: Broker, queue: str, depth: int) -> bool:
    return await broker.queue_depth(queue) == depth
