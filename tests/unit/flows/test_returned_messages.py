"""Messages that went back before they were moved come again before anything behind them, unless they are gone."""

from __future__ import annotations

import pytest

from worker.core.message import Message
from worker.flows.ordered.returned_messages import PAUSES, ReturnedMessages

from .routes import Arrived


def arrived(number: int, *, redelivered: bool = False) -> Arrived:
    return Arrived(Message(b"%d" % number, message_id=str(number)), redelivered=redelivered)


@pytest.fixture
def returned() -> ReturnedMessages:
    given = ReturnedMessages()
    for number, redelivered in ((1, False), (2, True), (3, False)):
        given.add(arrived(number, redelivered=redelivered))
    return given


def test_without_any_a_message_has_its_turn_at_once():
    given = ReturnedMessages()
    assert given.pause_before(arrived(1)) == 0
    assert not given.take(arrived(1, redelivered=True))


def test_they_come_again_in_their_order_and_only_those_that_were_new_count_as_never_begun(returned):
    for number, unbegun in ((1, True), (2, False), (3, True)):
        assert returned.pause_before(arrived(number, redelivered=True)) == 0
        assert returned.take(arrived(number, redelivered=True)) is unbegun


def test_what_overtook_them_waits_and_comes_after_them(returned):
    assert returned.pause_before(arrived(4)) == PAUSES[0]
    returned.add(arrived(4))
    assert returned.pause_before(arrived(4, redelivered=True)) == PAUSES[1], "it went back as well, and is still too early"
    for number in (1, 2, 3):
        assert returned.pause_before(arrived(number, redelivered=True)) == 0
        returned.take(arrived(number, redelivered=True))
    assert returned.pause_before(arrived(4, redelivered=True)) == 0
    assert returned.take(arrived(4, redelivered=True))


@pytest.mark.parametrize("number", [3, 4])
def test_those_that_are_gone_hold_up_the_others_for_a_limited_time_and_once(returned, number):
    pauses = [returned.pause_before(arrived(number, redelivered=True)) for _ in PAUSES]
    assert pauses == list(PAUSES)
    assert returned.pause_before(arrived(number, redelivered=True)) == 0
    returned.take(arrived(number, redelivered=True))
    assert returned.pause_before(arrived(5)) == 0
