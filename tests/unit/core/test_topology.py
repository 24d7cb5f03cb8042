"""The queues of the worker: names and arguments that other versions and other people rely on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.core.topology import (
    AmqpExchange,
    Binding,
    Queue,
    Source,
    Topology,
    baton_topology,
    browsable_queue,
    common_topology,
    events_topology,
    known_stream,
    retry_topology,
    state_queue,
    union,
    wait_queue,
    work_topology,
)

QUORUM = {"x-queue-type": "quorum"}
SHARED = ("halo.retry.due", "halo.retry.due.dead", "halo.retry.1m")
HANDING_ON = QUORUM | {"x-dead-letter-exchange": "", "x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}


def test_a_work_queue_has_a_dead_queue_and_its_copies_wait_in_a_queue_per_delay_that_all_routes_share():
    topology = work_topology("erp.assets", (10.0, 3600.0), [Source(AmqpExchange("erp"), "asset.#")])
    assert topology == Topology(
        (AmqpExchange("erp"),),
        (
            Queue("erp.assets.dead", QUORUM | {"x-delivery-limit": 1_000_000}),
            Queue("erp.assets", HANDING_ON | {"x-delivery-limit": 20, "x-dead-letter-routing-key": "erp.assets.dead"}),
            Queue("halo.retry.due.dead", QUORUM | {"x-delivery-limit": 1_000_000}),
            Queue("halo.retry.due", HANDING_ON | {"x-delivery-limit": 1_000_000, "x-dead-letter-routing-key": "halo.retry.due.dead"}),
            *(
                Queue(
                    f"halo.retry.{name}",
                    HANDING_ON | {"x-delivery-limit": 1_000_000, "x-dead-letter-routing-key": "halo.retry.due", "x-message-ttl": milliseconds},
                )
                for name, milliseconds in (("10s", 10_000), ("1m", 60_000), ("1h", 3_600_000))
            ),
        ),
        (Binding("erp", "asset.#", "erp.assets"),),
    )


def test_a_queue_of_somebody_elses_is_taken_as_it_is_but_has_its_companions():
    queues = {queue.name: queue for queue in work_topology("theirs", (10.0,), declare=False).queues}
    assert queues["theirs"] == Queue("theirs", passive=True)
    assert queues.keys() == {"theirs", "theirs.dead", *SHARED, "halo.retry.10s"}


def test_a_delay_given_twice_is_one_queue():
    assert {queue.name for queue in work_topology("q", (10.0, 10.0)).queues} == {"q", "q.dead", *SHARED, "halo.retry.10s"}


def test_a_route_without_retries_needs_no_retry_queue():
    assert {queue.name for queue in work_topology("q", ()).queues} == {"q", "q.dead"}


def test_a_further_route_adds_two_queues_whatever_its_delays():
    plan = (10.0, 60.0, 600.0, 3600.0)
    routes = [work_topology(f"route.{number}", plan) for number in range(400)]
    assert len(union(routes).queues) == 2 * 400 + len(retry_topology(plan).queues)


def test_no_copy_waits_for_a_queue_that_may_be_missing_or_full():
    """The broker returns copies to one queue that the worker owns: 32 copies for a queue that takes none would stop those of all routes."""
    plan = (10.0, 60.0)
    waiting = [queue for queue in retry_topology(plan).queues if "x-message-ttl" in queue.arguments]
    assert {queue.arguments["x-dead-letter-routing-key"] for queue in waiting} == {"halo.retry.due"}


def test_every_queue_that_is_browsed_or_holds_a_baton_survives_being_looked_into():
    for queue in (*baton_topology("tickets").queues, *common_topology().queues, *events_topology("halo", "q").queues, *work_topology("w", (1.0,)).queues):
        if queue.name != "w" and queue.arguments["x-queue-type"] == "quorum":
            assert queue.arguments["x-delivery-limit"] == 1_000_000, queue.name


def test_a_baton_waits_in_one_queue_comes_due_in_another_and_neither_drops_it():
    queues = {queue.name: queue.arguments for queue in baton_topology("tickets").queues}
    assert set(queues) == {state_queue("tickets"), wait_queue("tickets"), known_stream("tickets")}
    assert queues[wait_queue("tickets")]["x-dead-letter-routing-key"] == state_queue("tickets")
    assert queues[wait_queue("tickets")]["x-dead-letter-strategy"] == "at-least-once"
    assert not any("x-max-length" in arguments or "x-message-ttl" in arguments for arguments in queues.values())


def test_a_stream_keeps_by_size_and_in_small_segments():
    stream = {queue.name: queue.arguments for queue in baton_topology("tickets").queues}[known_stream("tickets")]
    assert stream["x-queue-type"] == "stream"
    assert stream["x-stream-max-segment-size-bytes"] * 8 < stream["x-max-length-bytes"]


def test_unrouted_events_are_bounded_and_the_oldest_go_first():
    unrouted = {queue.name: queue.arguments for queue in common_topology().queues}["halo.unrouted"]
    assert (unrouted["x-max-length"], unrouted["x-overflow"]) == (100_000, "drop-head")


NAMES = st.sampled_from("abc")
TOPOLOGIES = st.builds(
    Topology,
    st.lists(st.builds(AmqpExchange, NAMES), max_size=3).map(tuple),
    st.lists(st.builds(browsable_queue, NAMES), max_size=3, unique_by=lambda queue: queue.name).map(tuple),
    st.lists(st.builds(Binding, NAMES, NAMES, NAMES), max_size=3).map(tuple),
)


@given(TOPOLOGIES, TOPOLOGIES)
def test_the_union_of_two_topologies_has_everything_of_both_once(left: Topology, right: Topology):
    both = left + right
    assert set(both.exchanges) == {*left.exchanges, *right.exchanges}
    assert set(both.bindings) == {*left.bindings, *right.bindings}
    names = [queue.name for queue in both.queues]
    assert sorted(names) == sorted({queue.name for queue in (*left.queues, *right.queues)})
    assert (left + Topology()).queues == left.queues
    assert both == union([left, right])
