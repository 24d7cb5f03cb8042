"""The key of the worker's own headers: all replicas have the first one, however often it was made."""

from __future__ import annotations

import asyncio

from tests.tools.waiting import soon
from worker.core.clock import SystemClock
from worker.core.message import Message
from worker.core.topology import KEYS, keys_topology
from worker.state.keys import KEY_BYTES, shared_key

CLOCK = SystemClock()


async def test_replicas_that_start_together_have_one_key(broker):
    keys = await soon(asyncio.gather(*(shared_key(broker, CLOCK) for _ in range(3))))
    assert len(set(keys)) == 1


async def test_a_key_of_a_replica_that_lost_its_connection_before_it_made_the_mark_is_the_key_of_all(broker):
    await broker.declare(keys_topology())
    left_behind = b"k" * KEY_BYTES
    await broker.publish(Message(left_behind), routing_key=KEYS)
    assert await soon(shared_key(broker, CLOCK)) == left_behind
    assert await soon(shared_key(broker, CLOCK)) == left_behind
