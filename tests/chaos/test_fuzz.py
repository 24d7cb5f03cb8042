"""A hostile sender with a seed: the same assertions as the long run of `make chaos FUZZ=100000`, over some hundred messages."""

from __future__ import annotations

import pytest

from tests.chaos.fuzz import fuzz
from tests.chaos.wild import Wilderness
from tests.tools.sizes import first


@pytest.mark.parametrize("messages", first(1, [100, 400]))
async def test_whatever_a_sender_of_one_exchange_sends_nothing_is_lost_no_route_stops_and_no_right_is_borrowed(rabbitmq, tmp_path, messages):
    fuzzed = await fuzz(rabbitmq, tmp_path, 5, messages, lambda _: None)
    assert fuzzed.broken == [], str(fuzzed)
    assert fuzzed.asked > 0


def test_the_same_seed_brings_the_same_messages():
    one, other = Wilderness(3), Wilderness(3)
    assert [repr(one.message()) for _ in range(50)] == [repr(other.message()) for _ in range(50)]
    assert repr(Wilderness(4).message()) != repr(Wilderness(3).message())
