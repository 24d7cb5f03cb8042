"""Publishing, taking and acknowledging, on both brokers."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from tests.brokers.conftest import take
from tests.tools.waiting import soon, until
from worker.core.errors import PublishRefused, QueueMissing, Unroutable
from worker.core.message import Message
from worker.core.ports import Broker, Channel
from worker.core.topology import STANDARD_EXCHANGES, AmqpExchange, Binding, ExchangeType, Topology, browsable_queue

IN = browsable_queue("in")


@pytest.fixture
async def ready(broker: Broker) -> Broker:
    await broker.declare(Topology(queues=(IN,)))
    return broker


async def test_a_published_message_is_taken_as_it_was(ready: Broker):
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    sent = Message(b'{"a":1}', {"k": "v"}, "id-1", "corr", "back", "application/json", "some.type", moment, None, "gzip", "erp", 7)
    await ready.publish(sent, routing_key="in")
    delivery = await take(ready, "in")
    got = delivery.message
    assert (got.body, got.headers["k"], got.message_id, got.correlation_id, got.reply_to) == (b'{"a":1}', "v", "id-1", "corr", "back")
    assert (got.content_type, got.type, got.timestamp, got.expiration) == ("application/json", "some.type", moment, None)
    assert (got.content_encoding, got.app_id, got.priority) == ("gzip", "erp", 7)
    assert (delivery.queue, delivery.exchange, delivery.routing_key, delivery.redelivered, delivery.offset) == ("in", "", "in", False, None)


async def test_an_acked_message_is_gone(ready: Broker):
    await ready.publish(Message(b"1"), routing_key="in")
    await take(ready, "in")
    async with ready.channel() as channel:
        assert await channel.get("in") is None


@pytest.mark.parametrize(
    ("given", "arrives"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        (datetime(1950, 1, 1, tzinfo=UTC), None),
        (datetime.min.replace(tzinfo=UTC), None),
    ],
)
async def test_a_timestamp_arrives_in_whole_seconds_of_utc_or_not_at_all(ready: Broker, given: datetime, arrives: datetime | None):
    await ready.publish(Message(b"1", timestamp=given), routing_key="in")
    assert (await take(ready, "in")).message.timestamp == arrives


async def test_each_publish_gets_an_id_of_its_own(ready: Broker):
    message = Message(b"1")
    for _ in range(2):
        await ready.publish(message, routing_key="in")
    ids = {(await take(ready, "in")).message.message_id for _ in range(2)}
    assert len(ids) == 2
    assert all(ids)


async def test_messages_with_one_id_in_flight_each_learn_their_own_fate(ready: Broker):
    message = Message(b"1", message_id="same")
    results = await asyncio.gather(*[ready.publish(message, routing_key=key) for key in ("in", "nowhere", "in", "nowhere", "in")], return_exceptions=True)
    assert [type(result) for result in results] == [type(None), Unroutable, type(None), Unroutable, type(None)]


async def test_an_unroutable_message_is_an_error_not_a_success(ready: Broker):
    with pytest.raises(Unroutable, match="no queue takes messages of queue 'nowhere'"):
        await ready.publish(Message(b"1"), routing_key="nowhere")
    await ready.publish(Message(b"2"), routing_key="in")


async def test_a_missing_exchange_is_refused_and_publishing_goes_on(ready: Broker):
    with pytest.raises(PublishRefused, match="there is no exchange 'nix'"):
        await ready.publish(Message(b"1"), exchange="nix", routing_key="in")
    await ready.publish(Message(b"2"), routing_key="in")


async def test_a_full_queue_refuses_and_the_channel_lives_on(broker: Broker):
    await broker.declare(Topology(queues=(browsable_queue("full", **{"x-max-length": 2, "x-overflow": "reject-publish"}), IN)))
    async with broker.channel(publishing=True) as channel:
        results = [await attempt(channel, "full") for _ in range(8)]  # RabbitMQ lets a few more in than the limit says
        assert results[:2] == ["stored", "stored"]
        assert results[-1] == "the broker refused a message to queue 'full': a queue is full or cannot be reached"
        await channel.publish(Message(b"2"), routing_key="in")


async def attempt(channel: Channel, queue: str) -> str:
    try:
        await channel.publish(Message(b"1"), routing_key=queue)
    except PublishRefused as refused:
        return str(refused)
    return "stored"


async def test_a_full_queue_that_drops_its_head_keeps_the_newest(broker: Broker):
    await broker.declare(Topology(queues=(browsable_queue("newest", **{"x-max-length": 2, "x-overflow": "drop-head"}),)))
    for number in range(5):
        await broker.publish(Message(b"%d" % number), routing_key="newest")
    assert [(await take(broker, "newest")).message.body for _ in range(2)] == [b"3", b"4"]
    assert await until(lambda: is_depth(broker, "newest", 0))


async def is_depth(broker: Broker, queue: str, depth: int) -> bool:
    return await broker.queue_depth(queue) == depth


async def test_a_missing_queue_is_told_by_name(broker: Broker):
    async with broker.channel() as channel:
        with pytest.raises(QueueMissing, match="there is no queue 'nix'"):
            await channel.get("nix")
    async with broker.channel() as channel:
        with pytest.raises(QueueMissing, match="there is no queue 'nix'"):
            await channel.consume("nix", lambda _: None)
    assert not await broker.queue_exists("nix")
    assert await broker.queue_depth("nix") is None


async def test_depth_counts_what_is_ready_not_what_is_in_hand(ready: Broker):
    for _ in range(3):
        await ready.publish(Message(b"1"), routing_key="in")
    assert await ready.queue_exists("in")
    await until(lambda: is_depth(ready, "in", 3))
    async with ready.channel() as channel:
        await channel.get("in")
        await until(lambda: is_depth(ready, "in", 2))


async def test_topic_wildcards_route_as_rabbitmq_does(broker: Broker):
    patterns = {"all": "#", "one": "a.*", "deep": "a.#", "end": "#.z", "mid": "a.*.z", "exact": "a.b"}
    topology = Topology((AmqpExchange("t"),), tuple(map(browsable_queue, patterns)), tuple(Binding("t", pattern, queue) for queue, pattern in patterns.items()))
    await broker.declare(topology)
    expected = {
        "a": {"all", "deep"},
        "a.b": {"all", "one", "deep", "exact"},
        "a.b.z": {"all", "deep", "end", "mid"},
        "z": {"all", "end"},
        "b.b": {"all"},
        "": {"all"},
        "a..z": {"all", "deep", "end", "mid"},
    }
    for key, queues in expected.items():
        await broker.publish(Message(b"1"), exchange="t", routing_key=key)
        got = set()
        async with broker.channel() as channel:
            for queue in patterns:
                if queue in queues:
                    await (await until(lambda queue=queue: channel.get(queue))).ack()
                    got.add(queue)
                elif await channel.get(queue):
                    got.add(queue)
        assert (key, got) == (key, queues)


async def test_a_message_bound_twice_to_a_queue_arrives_once(broker: Broker):
    await broker.declare(Topology((AmqpExchange("t"),), (IN,), (Binding("t", "a.#", "in"), Binding("t", "#.b", "in"))))
    await broker.publish(Message(b"1"), exchange="t", routing_key="a.b")
    await take(broker, "in")
    async with broker.channel() as channel:
        assert await channel.get("in") is None


@pytest.mark.parametrize(("kind", "taken"), [("topic", ["a.#", "a.b"]), ("direct", ["a.b"]), ("fanout", ["a.#", "a.b", "c"]), ("headers", ["a.#", "a.b", "c"])])
async def test_an_absent_exchange_gets_the_type_that_is_asked_for(broker: Broker, kind: ExchangeType, taken: list[str]):
    queues = ("a.#", "a.b", "c")
    await broker.declare(Topology((AmqpExchange("x", kind),), tuple(map(browsable_queue, queues)), tuple(Binding("x", queue, queue) for queue in queues)))
    await broker.declare(Topology((AmqpExchange("x", "topic"),)))
    await broker.publish(Message(b"1"), exchange="x", routing_key="a.b")
    assert [queue for queue in queues if await broker.queue_depth(queue)] == taken


@pytest.mark.parametrize(("name", "kind"), sorted(STANDARD_EXCHANGES.items()))
async def test_the_exchanges_that_every_broker_has_are_used(broker: Broker, name: str, kind: ExchangeType):
    await broker.declare(Topology((AmqpExchange(name, kind),), (IN,), (Binding(name, "a", "in"),)))
    await broker.publish(Message(b"1"), exchange=name, routing_key="a")
    assert (await take(broker, "in")).message.body == b"1"


async def test_a_big_message_arrives_whole(ready: Broker):
    body = bytes(range(256)) * 4 * 1024 * 8  # 8 MiB, in many frames
    await ready.publish(Message(body), routing_key="in")
    assert (await take(ready, "in")).message.body == body


async def test_an_empty_body_arrives(ready: Broker):
    await ready.publish(Message(b""), routing_key="in")
    assert (await take(ready, "in")).message.body == b""


async def test_any_header_comes_back_as_plain_python(ready: Broker):
    moment = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
    headers = {
        "none": None,
        "yes": True,
        "int": -7,
        "big": 2**62,
        "float": 0.1,
        "exact": 0.5,
        "text": "Grüße",
        "bytes": b"\x00\xff",
        "moment": moment,
        "list": [1, "a", [True, None]],
        "table": {"a": {"b": [b"\x01", 1.25]}},
        "empty": {},
    }
    await ready.publish(Message(b"1", headers), routing_key="in")
    got = dict((await take(ready, "in")).message.headers)
    got.pop("x-delivery-count", None)
    assert got == headers


@pytest.mark.parametrize(
    ("given", "carried"),
    [
        (2**70, str(2**70)),
        (Decimal("1.25"), "1.25"),
        (1700000000.123, "1700000000.123"),
        (1e300, "1e+300"),
        (math.inf, "inf"),
        ("half \ud800", "half ?"),
        (("a", 1), ["a", 1]),
        (datetime(1950, 1, 1, tzinfo=UTC), "1950-01-01 00:00:00+00:00"),
        ({1: "a"}, {"1": "a"}),
    ],
)
async def test_what_has_no_amqp_type_is_carried_as_the_nearest(ready: Broker, given: object, carried: object):
    await ready.publish(Message(b"1", {"h": given}), routing_key="in")
    assert (await take(ready, "in")).message.headers["h"] == carried


async def test_headers_that_belong_to_the_broker_are_not_published_further(ready: Broker):
    stale = {"x-death": [{"queue": "in", "reason": "expired"}], "x-first-death-queue": "in", "x-stream-offset": 7, "mine": 1}
    await ready.publish(Message(b"1", stale), routing_key="in")
    delivery = await take(ready, "in")
    assert set(delivery.message.headers) - {"x-delivery-count"} == {"mine"}
    assert delivery.offset is None


@pytest.mark.parametrize("name", ["message_id", "correlation_id", "reply_to", "content_type", "content_encoding", "type", "app_id"])
async def test_a_property_too_long_for_amqp_is_refused_by_name(ready: Broker, name: str):
    with pytest.raises(PublishRefused, match=f"the {name.replace('_', ' ')} has 256 bytes; AMQP takes at most 255"):
        await ready.publish(Message(b"1", **{name: "ä" * 128}), routing_key="in")
    await ready.publish(Message(b"1", **{name: "x" * 255}), routing_key="in")
    assert getattr((await take(ready, "in")).message, name) == "x" * 255


async def test_a_routing_key_too_long_for_amqp_is_refused(ready: Broker):
    with pytest.raises(PublishRefused, match="the routing key has 300 bytes"):
        await ready.publish(Message(b"1"), routing_key="x" * 300)
    await ready.publish(Message(b"1"), routing_key="in")


async def test_headers_too_large_for_a_frame_are_refused_not_fatal(ready: Broker):
    with pytest.raises(PublishRefused, match="the headers have"):
        await ready.publish(Message(b"1", {"h": "x" * 200_000}), routing_key="in")
    await ready.publish(Message(b"1"), routing_key="in")


async def test_many_publishes_at_once_are_all_confirmed_and_kept_in_order(ready: Broker):
    await soon(asyncio.gather(*[ready.publish(Message(b"%d" % number), routing_key="in") for number in range(300)]))
    async with ready.channel() as channel:
        bodies = [(await until(lambda: channel.get("in"))).message.body for _ in range(300)]
    assert bodies == [b"%d" % number for number in range(300)]


async def test_a_cancelled_publish_is_a_cancellation(ready: Broker):
    task = asyncio.create_task(ready.publish(Message(b"1"), routing_key="in"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await ready.publish(Message(b"2"), routing_key="in")
