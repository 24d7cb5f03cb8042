"""RabbitMQ as a cluster of three: nodes die, freeze, are cut off and come back, the worker's own one too. A node takes about ten seconds to come back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from tests.tools.job import publisher, routes, subscriber
from tests.tools.process import WorkerProcess
from tests.tools.rabbitmq import RabbitMQ, vhost_of
from tests.tools.rabbitmq_cluster import SIZE, Cluster, rabbitmq_cluster
from tests.tools.waiting import soon, until
from worker.broker.open import open_broker
from worker.core.broker_addresses import host_and_port
from worker.core.errors import ChannelLost, PublishRefused
from worker.core.message import Delivery, Message
from worker.core.permit_topology import permits_topology
from worker.core.ports import Broker
from worker.core.topology import Topology, browsable_queue, stream

SHAPED = {"path": {}, "query": {}, "payload": {"inventory_number": "{{ serial }}", "client_id": 12}}
FIND = {"query": {"search": "{{ serial }}"}, "match": {"inventory_number": "{{ serial }}"}}
ERP = publisher(transform=SHAPED, find=FIND)
"""With a lookup: a node that is cut off may have handed a message to nobody, and without one a create that comes again is in doubt."""
SECONDS = 10.0  # that a worker may be without a broker when its node dies; it took 0.1 to 0.3

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def running_cluster() -> Iterator[tuple[RabbitMQ, Cluster]]:
    with rabbitmq_cluster() as started:
        yield started


@pytest.fixture
def cluster(running_cluster: tuple[RabbitMQ, Cluster]) -> Cluster:
    return running_cluster[1]


@pytest.fixture
def amqp_url(running_cluster: tuple[RabbitMQ, Cluster]) -> Iterator[str]:
    rabbitmq, cluster = running_cluster
    url = rabbitmq.new_vhost()
    yield url
    cluster.recover()  # from what a test that failed has left
    rabbitmq.drop_vhost(url)


def own_node(cluster: Cluster, worker: WorkerProcess) -> int:
    """The node that a worker is attached to."""
    place = worker.log("broker.attached")[-1]["node"]
    return next(number for number, node in enumerate(cluster.nodes) if host_and_port(node.url) == place)


def elsewhere(cluster: Cluster, url: str) -> str:
    """The addresses of the nodes that are there."""
    return ",".join(address for number, address in enumerate(url.split(",")) if number not in cluster.away)


async def published(broker: Broker, message: Message, queue: str) -> None:
    """As any sender does: what the broker refuses, since the queue has no leader at the moment, is sent again."""

    async def sent() -> bool:
        with suppress(PublishRefused):
            await broker.publish(message, routing_key=queue)
            return True
        return False

    await until(sent)


async def written(url: str, queue: str) -> None:
    """Also where the node ends the connection for an error of its own, as it may while a stream has no leader."""

    async def sent() -> bool:
        with suppress(PublishRefused, ChannelLost):
            async with open_broker(url, name="second") as broker:
                await broker.publish(Message(b"{}"), routing_key=queue)
                return True
        return False

    await until(sent)


async def send(cluster: Cluster, url: str, *serials: str) -> None:
    async with open_broker(elsewhere(cluster, url), name="other system") as broker:
        for serial in serials:
            await published(broker, Message(orjson.dumps({"serial": serial}), message_id=serial), "assets")


async def done(halo: Any, *serials: str) -> None:
    """Each exists, and none was created twice: one that was found again is updated."""

    def created() -> list[str]:
        records = [record for entry in halo.journal.executed("POST", "/Asset") for record in entry.body]
        return [record["inventory_number"] for record in records if not record.get("id")]

    async def there() -> bool:
        return set(serials) <= set(created())

    await until(there)
    assert [created().count(serial) for serial in serials] == [1] * len(serials)


async def moved(worker: WorkerProcess, cluster: Cluster, number: int) -> float:
    """Wait until a worker is attached to another node; seconds that it was without one."""

    async def attached() -> bool:
        return len(worker.log("broker.attached")) > 1 and own_node(cluster, worker) != number

    await until(attached)
    lost, back = worker.log("broker.lost")[0], worker.log("broker.attached")[-1]
    return (datetime.fromisoformat(back["timestamp"]) - datetime.fromisoformat(lost["timestamp"])).total_seconds()


@pytest.mark.parametrize("fault", ["dies", "is cut off"])
async def test_a_worker_whose_node_is_gone_is_soon_at_work_on_another_one_and_nothing_is_lost_or_doubled(stage, cluster, halos, amqp_url, fault):
    """With a rate limit: the permits are in queues as well."""
    halo = await halos()
    begin, end = {"dies": (cluster.kill, cluster.restart), "is cut off": (cluster.cut, cluster.heal)}[fault]
    polled = {"tickets": subscriber(every="1s")}
    worker = await stage.start(routes(halo, publishers={"erp": ERP}, subscribers=polled, rate_limit="600/1m"), heartbeat=1)
    await send(cluster, amqp_url, "SN-1")
    await done(halo, "SN-1")
    own = own_node(cluster, worker)
    await asyncio.to_thread(begin, own)
    await send(cluster, amqp_url, "SN-2", "SN-3")
    assert await moved(worker, cluster, own) < SECONDS
    await done(halo, "SN-1", "SN-2", "SN-3")
    await worker.ready()
    await asyncio.to_thread(end, own)
    await send(cluster, amqp_url, "SN-4")
    await done(halo, "SN-1", "SN-2", "SN-3", "SN-4")
    assert await worker.stop() == 0


async def test_a_worker_whose_node_freezes_goes_to_another_one_after_three_heartbeats(stage, cluster, halos, amqp_url):
    """A queue whose leader is frozen confirms nothing meanwhile: messages come when it is back, or when the others take it for gone."""
    halo = await halos()
    worker = await stage.start(routes(halo, publishers={"erp": ERP}), heartbeat=1)
    own = own_node(cluster, worker)
    await asyncio.to_thread(cluster.freeze, own)
    await moved(worker, cluster, own)
    await asyncio.to_thread(cluster.thaw, own)
    await send(cluster, amqp_url, "SN-1")
    await done(halo, "SN-1")
    assert await worker.stop() == 0


async def test_another_node_that_dies_costs_the_worker_neither_its_place_nor_a_message(stage, cluster, halos, amqp_url):
    halo = await halos()
    worker = await stage.start(routes(halo, publishers={"erp": ERP}, rate_limit="600/1m"))
    own = own_node(cluster, worker)
    for number, serial in ((own + 1) % SIZE, "SN-1"), ((own + 2) % SIZE, "SN-2"):
        await asyncio.to_thread(cluster.kill, number)
        await send(cluster, amqp_url, serial)
        await done(halo, serial)
        await asyncio.to_thread(cluster.restart, number)
    # RabbitMQ 3.10.8 ends a connection over an error of its own, as it may while a stream has no leader: the worker then attaches again at once
    assert own_node(cluster, worker) == own or any("INTERNAL_ERROR" in line["reason"] for line in worker.log("broker.lost"))
    assert await worker.stop() == 0


async def test_a_worker_starts_while_a_node_is_down(stage, cluster, halos, amqp_url):
    halo = await halos()
    defined = routes(halo, publishers={"erp": ERP}, rate_limit="600/1m")
    first = await stage.start(defined, name="first")
    own = own_node(cluster, first)
    assert await first.stop() == 0
    await asyncio.to_thread(cluster.kill, own)
    await send(cluster, amqp_url, "SN-1")
    second = await stage.start(name="second")
    await done(halo, "SN-1")
    assert await second.stop() == 0
    await asyncio.to_thread(cluster.restart, own)


async def test_every_queue_has_a_member_and_every_stream_a_replica_on_each_node(stage, running_cluster, halos, amqp_url):
    """By RabbitMQ's defaults: arguments of the worker's own would differ from those of queues that exist."""
    halo = await halos()
    worker = await stage.start(routes(halo, publishers={"erp": ERP}, subscribers={"tickets": subscriber()}, rate_limit="600/1m"))
    rabbitmq, _ = running_cluster
    path = f"/api/queues/{quote(vhost_of(amqp_url), safe='')}?columns=name,type,online"

    async def spread() -> bool:
        told: Any = await asyncio.to_thread(rabbitmq.api.call, "GET", path)
        found = [queue for queue in told if not queue["name"].endswith(".lock")]  # locks end with their connection, and so with its node
        return {len(queue.get("online", ())) for queue in found} == {SIZE} and {queue["type"] for queue in found} == {"quorum", "stream"}

    await until(spread)
    assert await worker.stop() == 0


async def test_a_reader_of_a_stream_goes_on_while_each_of_the_other_nodes_dies_in_turn(cluster, amqp_url):
    """One of them leads the stream, or its own one does."""
    own, *others = amqp_url.split(",")
    read: list[bytes] = []
    async with open_broker(own, name="reader") as broker, broker.channel(prefetch=10) as channel:
        await broker.declare(Topology(queues=(stream("s", 10**6, 10**5),)))
        await broker.publish(Message(b"0"), routing_key="s")

        def hear(delivery: Delivery) -> None:
            read.append(delivery.message.body)

        await channel.consume("s", hear, arguments={"x-stream-offset": "first"})
        for number, _ in enumerate(others, 1):
            await asyncio.to_thread(cluster.kill, number)
            await published(broker, Message(b"%d" % number), "s")

            async def heard(wanted: int = number) -> bool:
                return len(read) > wanted

            await until(heard)
            await asyncio.to_thread(cluster.restart, number)
        assert not broker.lost
    assert read == [b"0", b"1", b"2"]


async def test_a_lock_is_free_as_soon_as_the_node_of_its_holder_dies(cluster, amqp_url):
    first, second, _ = amqp_url.split(",")
    async with open_broker(second, name="waits") as waits, open_broker(first, name="holds") as holds, holds.lock("halo.test.lock") as had:
        assert had
        async with waits.lock("halo.test.lock") as taken:
            assert not taken
        await asyncio.to_thread(cluster.kill, 0)
        await soon(holds.wait_lost())

        async def free() -> bool:
            async with waits.lock("halo.test.lock") as taken:
                return taken

        await until(free)
    await asyncio.to_thread(cluster.restart, 0)


async def test_what_a_dead_node_led_can_be_declared_read_and_written_at_the_others(cluster, amqp_url):
    first, second, _ = amqp_url.split(",")
    topology = permits_topology("acme") + Topology(queues=(browsable_queue("q"), stream("s", 10**6, 10**5)))
    async with open_broker(first, name="first") as broker:
        await broker.declare(topology)
        await broker.publish(Message(b"{}"), routing_key="q")
    await asyncio.to_thread(cluster.kill, 0)
    async with open_broker(second, name="second") as broker:
        await broker.declare(topology)
    for queue in topology.queues:
        await written(second, queue.name)
    async with open_broker(second, name="second") as broker:
        assert (await broker.queue_depth("q") or 0) > 1
    await asyncio.to_thread(cluster.restart, 0)
