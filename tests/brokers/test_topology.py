"""Declaring: what is missing is made, what exists otherwise is told, nothing that exists is changed. On both brokers."""

from __future__ import annotations

import pytest

from worker.broker.mismatch import REMEDY
from worker.core.errors import PublishRefused, QueueMissing, TopologyMismatch
from worker.core.message import Message
from worker.core.ports import Broker
from worker.core.topology import (
    AmqpExchange,
    Binding,
    Queue,
    Source,
    Topology,
    baton_topology,
    browsable_queue,
    common_topology,
    dead_lettering_queue,
    events_topology,
    stream,
    work_topology,
)

ALL = (
    common_topology()
    + baton_topology("tickets")
    + events_topology("halo", "mirror")
    + work_topology("erp.assets", [10, 60, 3600], [Source(AmqpExchange("erp"), "asset.#")])
)


async def test_the_whole_topology_of_the_worker_is_declared_and_declared_again(broker: Broker):
    await broker.declare(ALL)
    await broker.declare(ALL)
    for queue in ALL.queues:
        assert await broker.queue_depth(queue.name) == 0
    await broker.publish(Message(b"1"), exchange="erp", routing_key="asset.new.one")
    await broker.publish(Message(b"1"), exchange="halo", routing_key="tickets.created")


async def test_of_many_queues_that_are_declared_at_once_each_is_there_and_each_difference_is_told_once(broker: Broker):
    many = tuple(browsable_queue(f"q{number:03}") for number in range(60))
    other = tuple(browsable_queue(queue.name, **{"x-max-length": 5}) for queue in many[::20])
    await broker.declare(Topology(queues=other))
    with pytest.raises(TopologyMismatch) as told:
        await broker.declare(Topology(queues=many))
    lines = [f"queue {queue.name!r} exists with x-max-length 5; the worker needs it unset" for queue in other]
    assert str(told.value).splitlines() == [*lines, REMEDY]
    await broker.delete(Topology(queues=other))
    await broker.declare(Topology(queues=many))
    assert [await broker.queue_depth(queue.name) for queue in many] == [0] * 60


async def test_of_many_queues_that_are_taken_as_they_are_each_that_is_missing_is_named(broker: Broker):
    taken = tuple(Queue(f"theirs{number}", passive=True) for number in range(20))
    await broker.declare(Topology(queues=tuple(browsable_queue(queue.name) for queue in taken[2:])))
    with pytest.raises(QueueMissing, match="no queue 'theirs0' and no queue 'theirs1'"):
        await broker.declare(Topology(queues=taken))


@pytest.mark.parametrize(
    ("existing", "needed", "lines"),
    [
        (
            Queue("q", {"x-queue-type": "classic"}),
            Queue("q", {"x-queue-type": "quorum"}),
            ["queue 'q' exists with x-queue-type classic; the worker needs quorum"],
        ),
        (browsable_queue("q"), browsable_queue("q", **{"x-max-length": 5}), ["queue 'q' exists without x-max-length; the worker needs 5"]),
        (browsable_queue("q", **{"x-max-length": 5}), browsable_queue("q"), ["queue 'q' exists with x-max-length 5; the worker needs it unset"]),
        (
            browsable_queue("q", **{"x-max-length": 5}),
            browsable_queue("q", **{"x-max-length": 6}),
            ["queue 'q' exists with x-max-length 5; the worker needs 6"],
        ),
        (
            Queue("q", {"x-queue-type": "quorum"}),
            dead_lettering_queue("q", "q.dead", 20),
            [
                "queue 'q' exists without x-dead-letter-exchange; the worker needs (empty)",
                "queue 'q' exists without x-dead-letter-routing-key; the worker needs q.dead",
                "queue 'q' exists without x-dead-letter-strategy; the worker needs at-least-once",
                "queue 'q' exists without x-delivery-limit; the worker needs 20",
                "queue 'q' exists without x-overflow; the worker needs reject-publish",
            ],
        ),
        (
            stream("q", 1_000_000, 100_000),
            stream("q", 2_000_000, 100_000),
            ["queue 'q' exists with x-max-length-bytes 1000000; the worker needs 2000000"],
        ),
    ],
)
async def test_every_difference_of_a_queue_is_told_in_a_sentence(broker: Broker, existing: Queue, needed: Queue, lines: list[str]):
    await broker.declare(Topology(queues=(existing,)))
    with pytest.raises(TopologyMismatch) as told:
        await broker.declare(Topology(queues=(needed,)))
    assert str(told.value).splitlines() == [*lines, REMEDY]
    await broker.declare(Topology(queues=(existing,)))  # it is as it was


async def test_the_differences_of_all_queues_are_told_at_once(broker: Broker):
    await broker.declare(Topology(queues=(Queue("a"), Queue("b"))))
    with pytest.raises(TopologyMismatch) as told:
        await broker.declare(Topology(queues=(Queue("a", {"x-max-length": 1}), Queue("b", {"x-max-length": 2}), browsable_queue("c"))))
    assert [line.split(" exists")[0] for line in str(told.value).splitlines()[:-1]] == ["queue 'a'", "queue 'b'"]


async def test_a_queue_taken_as_it_is_only_has_to_exist(broker: Broker):
    await broker.declare(Topology(queues=(Queue("theirs", {"x-max-length": 7}),)))
    await broker.declare(Topology(queues=(Queue("theirs", {"x-queue-type": "quorum"}, passive=True),)))


async def test_a_queue_taken_as_it_is_that_is_missing_is_told(broker: Broker):
    with pytest.raises(QueueMissing, match="there is no queue 'theirs'"):
        await broker.declare(Topology(queues=(Queue("theirs", passive=True),)))
    assert not await broker.queue_exists("theirs")


async def test_declaring_keeps_the_messages_of_what_exists(broker: Broker):
    await broker.declare(Topology(queues=(browsable_queue("q"),)))
    await broker.publish(Message(b"1"), routing_key="q")
    await broker.declare(Topology((AmqpExchange("t"),), (browsable_queue("q"),), (Binding("t", "#", "q"),)))
    async with broker.channel() as channel:
        delivery = await channel.get("q")
    assert delivery is not None
    assert delivery.message.body == b"1"


async def test_what_is_deleted_is_gone_and_what_is_not_there_is_passed_over(broker: Broker):
    topology = Topology((AmqpExchange("t"),), (browsable_queue("q"),), (Binding("t", "#", "q"),))
    await broker.declare(topology + Topology(queues=(browsable_queue("kept"),), bindings=(Binding("t", "#", "kept"),)))
    await broker.publish(Message(b"1"), exchange="t", routing_key="a")
    await broker.delete(Topology(queues=(browsable_queue("q"), browsable_queue("never"))))
    assert (await broker.queue_exists("q"), await broker.queue_exists("kept")) == (False, True)
    await broker.publish(Message(b"2"), exchange="t", routing_key="a")
    await broker.delete(topology)
    with pytest.raises(PublishRefused, match="there is no exchange 't'"):
        await broker.publish(Message(b"3"), exchange="t", routing_key="a")
    await broker.declare(topology)
    assert await broker.queue_depth("q") == 0
