"""Turns, whatever comes in whichever order: no customer waits for more than one turn of each other one, and none holds too many places."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from worker.flows.ordered.customer_round_robin import CustomerRoundRobin


@dataclass(order=True)
class Waiting:
    number: int
    customer: str = field(compare=False)


ACTIONS = st.lists(st.one_of(st.tuples(st.just("add"), st.sampled_from("abc")), st.tuples(st.just("free"), st.integers(0, 5))), max_size=60)


@given(ACTIONS, st.integers(1, 3), st.integers(1, 4))
def test_no_customer_holds_too_much_and_nothing_that_may_start_waits_while_a_place_is_free(actions, most, places):
    turns: CustomerRoundRobin[Waiting] = CustomerRoundRobin(most)
    waiting: list[Waiting] = []
    running: list[Waiting] = []
    overtaken: Counter[tuple[str, str]] = Counter()
    for number, (kind, value) in enumerate(actions):
        if kind == "add":
            waiting.append(Waiting(number, value))
            turns.add(waiting[-1])
        elif value < len(running):
            turns.release(running.pop(value).customer)
        while len(running) < places and (found := turns.next(lambda _: True)) is not None:
            turns.take(found)
            held = Counter(each.customer for each in running)
            eligible = {each.customer for each in waiting if held[each.customer] < most}
            assert found.customer in eligible
            assert found == min(each for each in waiting if each.customer == found.customer)
            for other in eligible - {found.customer}:
                overtaken[found.customer, other] += 1
                assert overtaken[found.customer, other] <= 1, "a customer had two turns while another waited"
            for pair in [pair for pair in overtaken if pair[1] == found.customer]:
                del overtaken[pair]
            waiting.remove(found)
            running.append(found)
        held = Counter(each.customer for each in running)
        assert max(held.values(), default=0) <= most
        assert len(running) == places or all(held[each.customer] >= most for each in waiting)
        for pair in [pair for pair in overtaken if held[pair[1]] >= most]:
            del overtaken[pair]  # it waits for a place of its own, not for its turn


def test_what_may_not_start_after_all_is_passed_over():
    turns: CustomerRoundRobin[Waiting] = CustomerRoundRobin(1)
    gone, other = Waiting(1, "a"), Waiting(2, "b")
    turns.add(gone)
    turns.add(other)
    assert turns.next(lambda message: message is not gone) is other
