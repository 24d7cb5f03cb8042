"""What only a real RabbitMQ does: refused connections, black holes, alarms, timeouts, restarts, and properties written by anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import pytest
from structlog.testing import capture_logs
from yarl import URL

from tests.brokers.conftest import take
from tests.brokers.test_deliveries import Inbox
from tests.tools.proxy import Proxy, through_proxy
from tests.tools.rabbitmq import RabbitMQ, vhost_of
from tests.tools.waiting import SOON, soon, until
from worker.broker.rabbitmq import connect
from worker.broker.rabbitmq.connection import AmqpConnection
from worker.core.errors import BrokerError, BrokerUnreachable, ChannelLost, PublishDoubtful, PublishRefused, TopologyMismatch
from worker.core.message import Message
from worker.core.ports import Broker
from worker.core.topology import AmqpExchange, Binding, Queue, Topology, browsable_queue, dead_lettering_queue

IN = Topology(queues=(browsable_queue("in"),))


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[Broker]:
    async with connect(amqp_url, name="test") as attached:
        await attached.declare(IN)
        yield attached


@pytest.fixture
async def proxied(amqp_url: str) -> AsyncIterator[tuple[str, Proxy]]:
    async with through_proxy(amqp_url) as both:
        yield both


async def refusal(url: str, within: float = SOON) -> str:
    with pytest.raises(BrokerUnreachable) as told:
        async with connect(url, name="test", connect_timeout=within):
            pass
    return str(told.value)


async def test_questions_about_queues_share_one_channel_which_is_opened_again_over_a_queue_that_is_missing(broker: Broker, monkeypatch: pytest.MonkeyPatch):
    opened = 0
    methods = AmqpConnection.methods

    def counted(connection: AmqpConnection, call_timeout: float) -> AbstractAsyncContextManager[Any]:
        nonlocal opened
        opened += 1
        return methods(connection, call_timeout)

    monkeypatch.setattr(AmqpConnection, "methods", counted)
    await asyncio.gather(*(broker.queue_depth("in") for _ in range(20)), *(broker.consumers("in") for _ in range(20)))
    assert opened == 1
    assert [await broker.queue_depth("missing"), await broker.consumers("missing"), await broker.queue_depth("in")] == [None, 0, 0]
    assert opened == 3


async def test_each_reason_for_no_connection_has_its_sentence(amqp_url: str, proxied: tuple[str, Proxy]):
    url = URL(amqp_url)
    place = f"RabbitMQ at {url.host}:{url.port} cannot be used: "
    assert await refusal(str(url.with_password("hunter2"))) == place + "it refuses the user 'guest' or the password"
    assert await refusal(str(url.with_path("/nix"))) == place + "it has no virtual host 'nix', or the user 'guest' may not use it"
    assert await refusal(str(url.with_scheme("amqps"))) == place + "TLS failed (WRONG_VERSION_NUMBER): is this its TLS port?"
    assert (
        await refusal(str(url.with_host("127.0.0.1").with_port(1)))
        == "RabbitMQ at 127.0.0.1:1 cannot be used: the connection is refused: nothing listens there"
    )
    assert await refusal("amqp://u:hunter2@nowhere.invalid/") == "RabbitMQ at nowhere.invalid:5672 cannot be used: its name cannot be resolved"
    form = "the broker's address is not of the form amqp://user:password@host:5672/vhost (or amqps://)"
    assert [await refusal(wrong) for wrong in ("http://u:hunter2@host", "amqp://", "hunter2", "amqp://host:hunter2")] == [form] * 4
    held, proxy = proxied
    proxy.hold()
    assert (await refusal(held, within=1)).endswith("cannot be used: it does not answer in time")


async def test_a_server_that_is_no_broker_is_told():
    async def speak_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(speak_http, "127.0.0.1", 0)
    async with server:
        assert "cannot be used" in await refusal(f"amqp://guest:guest@127.0.0.1:{server.sockets[0].getsockname()[1]}/")


async def test_a_black_hole_is_noticed_by_heartbeats_and_closing_is_quick(proxied: tuple[str, Proxy]):
    url, proxy = proxied
    async with asyncio.timeout(SOON):
        async with connect(url, name="test", heartbeat=1, publish_timeout=SOON) as broker:
            await broker.declare(IN)
            async with broker.channel(publishing=True) as channel:
                proxy.hold()
                publishing = asyncio.create_task(channel.publish(Message(b"1"), routing_key="in"))
                assert await broker.wait_lost() == "the connection went away or stopped answering"
                with pytest.raises(ChannelLost):  # and no CancelledError, though nobody cancelled
                    await publishing


async def test_an_attachment_can_be_left_while_the_broker_is_a_black_hole(proxied: tuple[str, Proxy]):
    url, proxy = proxied
    async with asyncio.timeout(SOON):
        async with connect(url, name="test") as broker, broker.channel(), broker.lock("l"):
            proxy.hold()


async def test_no_confirm_in_time_is_a_doubt_and_the_message_arrives_late(proxied: tuple[str, Proxy]):
    url, proxy = proxied
    async with connect(url, name="test", publish_timeout=0.3) as broker:
        await broker.declare(IN)
        async with broker.channel(publishing=True) as channel:
            proxy.hold()
            with pytest.raises(PublishDoubtful, match="it may be stored"):
                await channel.publish(Message(b"1"), routing_key="in")
            proxy.release()
            await channel.publish(Message(b"2"), routing_key="in")
        assert {(await take(broker, "in")).message.body for _ in range(2)} == {b"1", b"2"}


async def test_a_confirm_lost_on_the_wire_is_a_doubt_and_the_message_is_stored(amqp_url: str, proxied: tuple[str, Proxy], broker: Broker):
    url, proxy = proxied
    async with connect(url, name="test") as cut, cut.channel(publishing=True) as channel:
        proxy.hold(up=False)
        publishing = asyncio.create_task(channel.publish(Message(b"1"), routing_key="in"))
        await until(lambda: has_depth(broker, "in", 1))
        proxy.reset()
        with pytest.raises(ChannelLost, match="may be stored"):
            await publishing
    assert (await take(broker, "in")).message.body == b"1"


async def has_depth(broker: Broker, queue: str, depth: int) -> bool:
    return await broker.queue_depth(queue) == depth


async def test_losing_either_connection_loses_the_attachment(rabbitmq: RabbitMQ, amqp_url: str):
    for part in ("publishing", "consuming"):
        async with connect(amqp_url, name=part) as broker:
            await asyncio.to_thread(close_connection, rabbitmq, f"{part} ({part})")
            assert "CONNECTION_FORCED" in await soon(broker.wait_lost())


def close_connection(rabbitmq: RabbitMQ, name: str) -> None:
    """As an operator does on the management pages."""
    named = f'{{<<"connection_name">>, longstr, <<"{name}">>}}'
    ours = f"P <- rabbit_networking:connections(), [{{_, Told}}] <- [rabbit_networking:connection_info(P, [client_properties])], lists:member({named}, Told)"
    assert rabbitmq.ctl("eval", f'[rabbit_networking:close_connection(P, "a test closes it") || {ours}].').strip() == "[ok]"


async def test_an_alarm_blocks_publishing_but_not_consuming(rabbitmq: RabbitMQ, amqp_url: str, broker: Broker):
    await broker.publish(Message(b"1"), routing_key="in")
    async with connect(amqp_url, name="blocked", publish_timeout=1) as blocked, broker.channel(prefetch=5) as channel:
        inbox = Inbox()
        await channel.consume("in", inbox)
        await inbox.has(1)
        assert not blocked.blocked
        await asyncio.to_thread(rabbitmq.ctl, "set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            with pytest.raises(PublishDoubtful):
                await blocked.publish(Message(b"2"), routing_key="in")
            assert blocked.blocked == "the broker has blocked publishing: a memory or disk alarm"
            assert not blocked.lost
            with pytest.raises(ChannelLost, match="alarm"):
                async with blocked.channel(publishing=True):
                    pass
            await inbox.deliveries[0].ack()
            assert await blocked.queue_depth("in") == 0
        finally:
            await asyncio.to_thread(rabbitmq.ctl, "set_vm_memory_high_watermark", "absolute", "2GB")
        await inbox.has(2)  # what was in doubt arrives late
        await until(lambda: is_free(blocked))
        await blocked.publish(Message(b"3"), routing_key="in")


async def is_free(broker: Any) -> bool:
    return not broker.blocked


async def test_an_acknowledgement_timeout_closes_the_channel_alone_and_is_noticed(rabbitmq: RabbitMQ, broker: Broker):
    await broker.publish(Message(b"1"), routing_key="in")
    await asyncio.to_thread(rabbitmq.ctl, "eval", "application:set_env(rabbit,channel_tick_interval,200), application:set_env(rabbit,consumer_timeout,200).")
    try:
        async with broker.channel(prefetch=1) as channel:
            inbox = Inbox()
            await channel.consume("in", inbox)
            await inbox.has(1)
            assert "timed out" in await soon(channel.wait_closed())
            with pytest.raises(ChannelLost):
                await inbox.deliveries[0].ack()
    finally:
        defaults = "application:set_env(rabbit,channel_tick_interval,60000), application:set_env(rabbit,consumer_timeout,1800000)."
        await asyncio.to_thread(rabbitmq.ctl, "eval", defaults)
    assert not broker.lost
    assert (await take(broker, "in")).redelivered


async def test_confirmed_messages_survive_a_killed_broker(rabbitmq: RabbitMQ, amqp_url: str):
    async with connect(amqp_url, name="test") as broker:
        await broker.declare(IN)
        for number in range(20):
            await broker.publish(Message(b"%d" % number), routing_key="in")
        await asyncio.to_thread(rabbitmq.kill)
        assert await soon(broker.wait_lost())
        with pytest.raises(BrokerError):
            await broker.publish(Message(b"late"), routing_key="in")
    assert "nothing listens there" in await refusal(amqp_url)
    await asyncio.to_thread(rabbitmq.start)
    async with connect(amqp_url, name="test") as broker:
        assert [(await take(broker, "in")).message.body for _ in range(20)] == [b"%d" % number for number in range(20)]


async def test_a_message_beyond_the_brokers_maximum_is_refused_and_publishing_goes_on(broker: Broker):
    with pytest.raises(PublishRefused, match="the message has 17,825,792 bytes; the broker takes fewer"):
        await broker.publish(Message(b"x" * 17 * 1024 * 1024), routing_key="in")
    await broker.publish(Message(b"1"), routing_key="in")


async def test_a_refused_publish_puts_its_neighbours_in_doubt_not_in_error(broker: Broker):
    await broker.publish(Message(b"0"), routing_key="in")
    async with broker.channel(publishing=True) as channel:
        fates = await asyncio.gather(
            *[channel.publish(Message(b"1"), routing_key="in", exchange=exchange) for exchange in ("", "", "nix", "", "")], return_exceptions=True
        )
        assert {type(fate) for fate in (*fates[:2], *fates[3:])} <= {type(None), ChannelLost}
        assert type(fates[2]) is PublishRefused
        assert "nix" in await soon(channel.wait_closed())


PROPERTIES = [
    {"timestamp": 2**60},
    {"timestamp": 2**63 - 1},
    {"headers": {"a": [1, {"b": "c"}], "d": 1.5, "e": True}},
    {"message_id": "ä" * 127, "type": "x" * 255, "app_id": "someone", "priority": 9, "delivery_mode": 1},
    {"content_type": "text/plain", "content_encoding": "gzip", "user_id": "guest", "expiration": "600000"},
]


@pytest.mark.parametrize("properties", PROPERTIES, ids=[",".join(each) for each in PROPERTIES])
async def test_foreign_properties_never_stop_the_reading(rabbitmq: RabbitMQ, amqp_url: str, broker: Broker, properties: dict[str, Any]):
    await asyncio.to_thread(publish_raw, rabbitmq, amqp_url, properties)
    async with broker.channel(prefetch=1) as channel:
        inbox = Inbox()
        await channel.consume("in", inbox)
        await inbox.has(1)
        [delivery] = inbox.deliveries
        await broker.publish(delivery.message, routing_key="in")  # and it can be handed on
        await delivery.ack()
    again = (await take(broker, "in")).message
    assert (again.body, again.message_id, again.type) == (b"foreign", properties.get("message_id", again.message_id), properties.get("type"))
    assert not broker.lost


def publish_raw(rabbitmq: RabbitMQ, url: str, properties: dict[str, Any]) -> None:
    body = {"properties": properties, "routing_key": "in", "payload": "foreign", "payload_encoding": "string"}
    rabbitmq.api.call("POST", f"/api/exchanges/{vhost_of(url)}/amq.default/publish", body)


@pytest.mark.parametrize("kind", ["fanout", "direct", "headers"])
async def test_an_exchange_of_another_type_is_taken_as_it_is(rabbitmq: RabbitMQ, amqp_url: str, broker: Broker, kind: str):
    vhost = vhost_of(amqp_url)
    rabbitmq.api.call("PUT", f"/api/exchanges/{vhost}/theirs", {"type": kind, "durable": False, "arguments": {"alternate-exchange": "x"}})
    await broker.declare(Topology((AmqpExchange("theirs"),), (browsable_queue("in"),), (Binding("theirs", "asset", "in"),)))
    await broker.publish(Message(b"1"), exchange="theirs", routing_key="asset")
    assert (await take(broker, "in")).message.body == b"1"
    (found,) = (each for each in rabbitmq.api.call("GET", f"/api/exchanges/{vhost}") if each["name"] == "theirs")
    assert (found["type"], found["durable"]) == (kind, False)


async def test_an_exchange_that_other_exchanges_feed_may_be_internal(rabbitmq: RabbitMQ, amqp_url: str, broker: Broker):
    rabbitmq.api.call("PUT", f"/api/exchanges/{vhost_of(amqp_url)}/inner", {"type": "topic", "durable": True, "internal": True})
    await broker.declare(Topology((AmqpExchange("inner"),), (browsable_queue("in"),), (Binding("inner", "#", "in"),)))


async def test_a_wildcard_for_an_exchange_that_turns_out_to_be_direct_is_told(rabbitmq: RabbitMQ, amqp_url: str, broker: Broker):
    rabbitmq.api.call("PUT", f"/api/exchanges/{vhost_of(amqp_url)}/exact", {"type": "direct", "durable": True})
    with capture_logs() as logs:
        await broker.declare(Topology((AmqpExchange("exact"),), (browsable_queue("in"),), (Binding("exact", "asset.#", "in"),)))
    (told,) = (line for line in logs if line["event"] == "exchange.taken")
    assert (told["log_level"], told["exchange"], told["type"]) == ("warning", "exact", "direct")
    assert "'asset.#' gets nothing" in told["reason"]


async def test_an_exchange_that_exists_needs_no_permission_to_declare_it(rabbitmq: RabbitMQ, amqp_url: str, broker: Broker):
    vhost = vhost_of(amqp_url)
    await broker.declare(Topology((AmqpExchange("theirs"),), (browsable_queue("in"),)))
    rabbitmq.api.call("PUT", f"/api/users/{vhost}", {"password": "p", "tags": ""})
    rabbitmq.api.call("PUT", f"/api/permissions/{vhost}/{vhost}", {"configure": "^$", "write": "^in$", "read": "^theirs$"})
    async with connect(str(URL(amqp_url).with_user(vhost).with_password("p")), name="limited") as limited:
        await limited.declare(Topology((AmqpExchange("theirs"),), (), (Binding("theirs", "#", "in"),)))
        with pytest.raises(BrokerError, match="the broker's user may not declare exchange 'absent'"):
            await limited.declare(Topology((AmqpExchange("absent"),)))


async def test_a_queue_that_is_not_durable_is_a_mismatch(rabbitmq: RabbitMQ, amqp_url: str, broker: Broker):
    rabbitmq.api.call("PUT", f"/api/queues/{vhost_of(amqp_url)}/brief", {"durable": False, "auto_delete": True})
    with pytest.raises(TopologyMismatch) as told:
        await broker.declare(Topology(queues=(Queue("brief"),)))
    assert str(told.value).splitlines()[:-1] == [
        "queue 'brief' exists with auto_delete true; the worker needs false",
        "queue 'brief' exists with durable false; the worker needs true",
    ]


async def test_without_permission_to_declare_what_exists_is_taken_and_what_is_missing_told(rabbitmq: RabbitMQ, amqp_url: str, broker: Broker):
    vhost = vhost_of(amqp_url)
    rabbitmq.api.call("PUT", f"/api/users/{vhost}", {"password": "p", "tags": ""})
    rabbitmq.api.call("PUT", f"/api/permissions/{vhost}/{vhost}", {"configure": "^$", "write": "^(in|amq.default)$", "read": ".*"})
    async with connect(str(URL(amqp_url).with_user(vhost).with_password("p")), name="limited") as limited:
        await limited.declare(IN)
        await limited.publish(Message(b"1"), routing_key="in")
        with pytest.raises(BrokerError, match="the broker's user may not declare queue 'other': ACCESS_REFUSED"):
            await limited.declare(Topology(queues=(browsable_queue("other"),)))
        with pytest.raises(PublishRefused, match=r"may not write to exchange 'amq\.topic'"):
            await limited.publish(Message(b"1"), exchange="amq.topic", routing_key="x")
    rabbitmq.api.call("DELETE", f"/api/users/{vhost}")


async def test_a_dead_letter_waits_for_a_target_that_is_missing(rabbitmq: RabbitMQ, broker: Broker):
    await asyncio.to_thread(rabbitmq.ctl, "eval", "application:set_env(rabbit,dead_letter_worker_publisher_confirm_timeout,200).")
    try:
        await broker.declare(Topology(queues=(dead_lettering_queue("work", "dead", 0),)))
        await broker.publish(Message(b"1"), routing_key="work")
        async with broker.channel() as channel:
            await until(lambda: channel.get("work"))
        assert await broker.queue_depth("work") == 0
        await broker.declare(Topology(queues=(browsable_queue("dead"),)))
        assert (await take(broker, "dead")).message.body == b"1"
    finally:
        await asyncio.to_thread(rabbitmq.ctl, "eval", "application:set_env(rabbit,dead_letter_worker_publisher_confirm_timeout,180000).")


async def test_attaching_and_leaving_many_times_leaves_nothing_behind(amqp_url: str):
    for _ in range(15):
        async with connect(amqp_url, name="test") as broker, broker.channel(prefetch=1), broker.channel(publishing=True):
            pass


async def test_a_question_that_is_given_up_at_any_moment_costs_nobody_the_attachment(amqp_url):
    async with connect(amqp_url, name="hasty") as broker:
        await broker.declare(Topology(queues=(browsable_queue("asked"),)))
        for steps in range(40):
            asking = asyncio.ensure_future(broker.queue_depth("asked"))
            for _ in range(steps):
                await asyncio.sleep(0)
            if steps % 2:
                await asyncio.sleep(0.0005 * steps)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        assert await broker.queue_depth("asked") == 0
        assert not broker.lost


async def test_a_channel_that_is_left_in_haste_costs_nobody_the_attachment(amqp_url):
    async def held(broker):
        async with broker.channel():
            pass

    async with connect(amqp_url, name="hasty") as broker:
        for steps in range(40):
            leaving = asyncio.ensure_future(held(broker))
            await asyncio.sleep(0.0003 * steps)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
        await broker.declare(Topology(queues=(browsable_queue("asked"),)))
        assert await broker.queue_depth("asked") == 0
        assert not broker.lost


async def filled(broker: Broker) -> None:
    """A queue `full` that refuses: RabbitMQ takes some more messages than its limit."""
    await broker.declare(Topology(queues=(Queue("full", {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}),)))
    with suppress(PublishRefused):
        while True:
            await broker.publish(Message(b"x"), routing_key="full")
    await broker.publish(Message(b"1"), routing_key="in")


async def test_a_channel_is_publishing_while_messages_of_one_id_wait_for_each_other(broker: Broker):
    """It would be closed under the second one after a refusal."""
    await broker.publish(Message(b"0"), routing_key="in")
    channel = broker._own_channel
    seen = []
    alone = channel._in_flight

    class Watched(dict):
        def pop(self, key):
            found = super().pop(key)
            seen.append(channel.publishing)
            return found

    channel._in_flight = Watched(alone)
    await asyncio.gather(*(broker.publish(Message(b"x", message_id="1"), routing_key="in") for _ in range(3)))
    assert seen == [True, True, True]
    assert not channel.publishing


async def test_after_a_refusal_messages_go_over_another_channel_and_those_in_flight_on_the_old_one_are_confirmed(broker: Broker):
    """RabbitMQ 3.10 refuses for ever on a channel whose first message to a quorum queue came while the queue had no leader."""
    await filled(broker)
    old = broker._own_channel
    results = await asyncio.gather(*(broker.publish(Message(b"x"), routing_key=name) for name in ["full"] * 30 + ["in"] * 30), return_exceptions=True)
    assert any(isinstance(result, PublishRefused) for result in results[:30])
    assert results[30:] == [None] * 30
    assert broker._own_channel is not old
    await broker.publish(Message(b"2"), routing_key="in")
    assert (await broker.queue_depth("in"), broker._retired, old.closed) == (32, [], True)
