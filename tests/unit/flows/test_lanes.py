"""Lanes: what may run next, whatever comes in whichever order."""

from __future__ import annotations

from worker.flows.ordered.lanes import LaneEntry, Lanes, MessageKeys


def arrived(
    lanes: Lanes[str], number: int, key: str | None = "a", *, customer: str = "", item: str = "", due: float = 0.0, exclusive: bool = False
) -> LaneEntry[str]:
    entry = lanes.expect((number, f"m{number}"), MessageKeys(key, customer), 10)
    assert lanes.arrive(entry, item or f"m{number}", progress=(0, 0), due=due, now=0.0, exclusive=exclusive) is None
    return entry


def started(lanes: Lanes[str], now: float = 0.0) -> list[str | None]:
    """What starts now."""
    items = []
    while (entry := lanes.start(now)) is not None:
        items.append(entry.item)
    return items


def test_of_a_key_one_runs_at_a_time_and_the_next_when_it_is_done():
    lanes: Lanes[str] = Lanes(4)
    first, second = arrived(lanes, 1), arrived(lanes, 2)
    assert started(lanes) == ["m1"]
    lanes.finish(first)
    assert started(lanes) == ["m2"]
    lanes.finish(second)
    assert len(lanes) == lanes.size == lanes.running == 0


def test_the_lower_sequence_goes_first_however_late_it_comes():
    lanes: Lanes[str] = Lanes(4)
    arrived(lanes, 5)
    arrived(lanes, 3)
    assert started(lanes) == ["m3"]


def test_what_is_on_its_way_is_waited_for():
    lanes: Lanes[str] = Lanes(4)
    expected = lanes.expect((1, "m1"), MessageKeys("a"), 10)
    arrived(lanes, 2)
    assert started(lanes) == []
    assert lanes.arrive(expected, "m1", progress=(0, 0), due=0.0, now=0.0) is None
    assert started(lanes) == ["m1"]


def test_keys_run_beside_each_other_up_to_the_concurrency_oldest_first():
    lanes: Lanes[str] = Lanes(2)
    first = arrived(lanes, 1, "a")
    arrived(lanes, 2, "b")
    arrived(lanes, 3, "c")
    assert started(lanes) == ["m1", "m2"]
    lanes.finish(first)
    assert started(lanes) == ["m3"]


def test_a_failed_one_holds_its_own_key_until_its_time_and_its_copy_have_come():
    lanes: Lanes[str] = Lanes(2)
    failed = arrived(lanes, 1, "a")
    arrived(lanes, 2, "a")
    arrived(lanes, 3, "b")
    assert lanes.start(0.0) is failed
    lanes.postpone(failed, (1, 1), due=10.0)
    assert started(lanes) == ["m3"]
    assert lanes.next_due() is None
    assert lanes.arrive(failed, "copy", progress=(1, 1), due=10.0, now=0.0) is None
    assert lanes.next_due() == 10.0
    assert lanes.retrying_lanes(5.0) == 1
    assert started(lanes, 9.9) == []
    assert started(lanes, 10.0) == ["copy"]
    assert lanes.retrying_lanes(10.0) == 0


def test_of_several_copies_the_furthest_stays_and_the_others_are_given_back():
    lanes: Lanes[str] = Lanes(2)
    entry = arrived(lanes, 1)
    assert lanes.arrive(entry, "later", progress=(1, 0), due=0.0, now=0.0) == "m1"
    assert lanes.arrive(entry, "earlier", progress=(0, 1), due=0.0, now=0.0) == "earlier"
    assert lanes.arrive(entry, "same, refreshed", progress=(1, 0), due=0.0, now=0.0) == "later"
    assert started(lanes) == ["same, refreshed"]


def test_a_copy_of_what_runs_is_given_back():
    lanes: Lanes[str] = Lanes(2)
    entry = arrived(lanes, 1)
    assert started(lanes) == ["m1"]
    assert lanes.arrive(entry, "copy", progress=(0, 0), due=0.0, now=0.0) == "copy"
    assert entry.item == "m1"


def test_messages_without_a_key_wait_for_nobody():
    lanes: Lanes[str] = Lanes(4)
    arrived(lanes, 1, None)
    arrived(lanes, 2, None)
    assert started(lanes) == ["m1", "m2"]


def test_a_suspect_runs_alone():
    lanes: Lanes[str] = Lanes(4)
    first = arrived(lanes, 1, "a")
    suspect = arrived(lanes, 2, "b", exclusive=True)
    third = arrived(lanes, 3, "c")
    assert started(lanes) == ["m1"]
    lanes.finish(first)
    assert started(lanes) == ["m2"]
    lanes.finish(suspect)
    assert started(lanes) == ["m3"]
    lanes.finish(third)


def test_what_lies_long_in_hand_is_told_and_what_runs_is_not():
    lanes: Lanes[str] = Lanes(1)
    arrived(lanes, 1)
    arrived(lanes, 2)
    assert started(lanes) == ["m1"]
    assert [entry.item for entry in lanes.idle_since(1.0)] == ["m2"]
    assert list(lanes.idle_since(0.0)) == []


def test_what_is_still_in_the_queue_of_its_route_does_not_run_and_holds_its_key():
    lanes: Lanes[str] = Lanes(4)
    moving = lanes.expect((1, "m1"), MessageKeys("a"), 10, moving=True)
    arrived(lanes, 2, "a")
    assert lanes.arrive(moving, "m1", progress=(0, 0), due=0.0, now=0.0) is None
    assert started(lanes) == []
    lanes.moved(moving)
    assert started(lanes) == ["m1"]
    lanes.finish(moving)
    assert started(lanes) == ["m2"]


def test_what_was_moved_before_its_copy_arrives_runs_when_that_is_here():
    lanes: Lanes[str] = Lanes(4)
    moving = lanes.expect((1, "m1"), MessageKeys("a"), 10, moving=True)
    lanes.moved(moving)
    assert started(lanes) == []
    lanes.arrive(moving, "m1", progress=(0, 0), due=0.0, now=0.0)
    assert started(lanes) == ["m1"]


def test_a_free_place_goes_to_the_customer_that_has_waited_longest():
    lanes: Lanes[str] = Lanes(1)
    first = arrived(lanes, 1, None, customer="flood")
    for number in range(2, 100):
        arrived(lanes, number, None, customer="flood")
    assert started(lanes) == ["m1"]
    arrived(lanes, 100, None, customer="single")
    lanes.finish(first)
    turns = []
    for _ in range(3):
        entry = lanes.start(0.0)
        turns.append(entry.item)
        lanes.finish(entry)
    assert turns == ["m2", "m100", "m3"], "the flood was in line before the single message came"


def test_a_customer_leaves_one_place_to_the_others():
    lanes: Lanes[str] = Lanes(4, 3)
    for number in range(1, 10):
        arrived(lanes, number, None, customer="hangs")
    assert started(lanes) == ["m1", "m2", "m3"]
    arrived(lanes, 10, None, customer="other")
    arrived(lanes, 11, None, customer="other")
    assert started(lanes) == ["m10"]


def test_a_message_that_waits_for_its_next_attempt_takes_no_place():
    lanes: Lanes[str] = Lanes(2, 1)
    failed = arrived(lanes, 1, None, customer="a")
    arrived(lanes, 2, None, customer="a")
    assert started(lanes) == ["m1"]
    lanes.postpone(failed, (1, 1), due=10.0)
    assert started(lanes) == ["m2"]


def test_a_copy_that_could_not_be_made_keeps_its_place():
    lanes: Lanes[str] = Lanes(2, 1)
    failed = arrived(lanes, 1, None, customer="a")
    assert started(lanes) == ["m1"]
    lanes.postpone(failed, (1, 1), due=0.0)
    lanes.resume(failed, "m1")
    arrived(lanes, 2, None, customer="a")
    assert started(lanes) == []
    lanes.finish(failed)
    assert started(lanes) == ["m2"]


def test_keys_keep_their_order_within_the_turns_of_a_customer():
    lanes: Lanes[str] = Lanes(3, 2)
    first = arrived(lanes, 1, "k", customer="a")
    arrived(lanes, 2, "k", customer="a")
    arrived(lanes, 3, "l", customer="a")
    assert started(lanes) == ["m1", "m3"]
    lanes.finish(first)
    assert started(lanes) == ["m2"]


def test_customers_are_counted_and_the_largest_is_known():
    lanes: Lanes[str] = Lanes(3, 2)
    assert (lanes.customers, lanes.largest) == (0, ("", 0))
    only = arrived(lanes, 1, None, customer="a")
    arrived(lanes, 2, None, customer="b")
    arrived(lanes, 3, None, customer="b")
    assert (lanes.customers, lanes.largest) == (2, ("b", 2))
    assert lanes.start(0.0) is only
    lanes.finish(only)
    assert lanes.customers == 1
    assert lanes.last(1) == ["m3"]


def test_lanes_that_let_go_keep_only_what_runs_and_start_nothing_more():
    lanes: Lanes[str] = Lanes(4)
    first, second = arrived(lanes, 1), arrived(lanes, 2)
    other = arrived(lanes, 3, "b")
    assert started(lanes) == ["m1", "m3"]
    lanes.stop_starting()
    lanes.finish(other)
    lanes.finish(first)
    assert (first.item, second.item) == ("m1", None)
    assert started(lanes) == []
