"""Where lanes meet: however they come together, one of them finds the parts of all, and parts of other iterations stay."""

from __future__ import annotations

import asyncio

from tests.flows.job.conftest import Job
from worker.broker.open import open_broker
from worker.core.clock import SystemClock
from worker.core.lanes import LanePart
from worker.core.message import Message
from worker.core.topology import Topology, browsed
from worker.state.current_broker import CurrentBroker
from worker.state.lane_results import join_lanes

MEETING, NEXT, LANES = "halo.join.rb", "next", 6


def onward(parts):
    return Message(b"".join(parts[lane]["mark"].encode() for lane in sorted(parts))), NEXT


def part(lane, key="r:1"):
    return LanePart(key, lane, LANES, {"mark": str(lane)})


async def test_of_lanes_that_end_together_on_several_replicas_one_finds_all_parts(job: Job):
    await job.other.broker.declare(Topology(queues=(browsed(MEETING), browsed(NEXT))))
    async with open_broker(job.url, name="one", server=job.server) as one, open_broker(job.url, name="two", server=job.server) as two:
        replicas = [CurrentBroker(), CurrentBroker()]
        async with replicas[0].attached(one, SystemClock(), claiming=False), replicas[1].attached(two, SystemClock(), claiming=False):
            ends = await asyncio.gather(*(replicas[lane % 2].join(MEETING, part(lane), onward) for lane in range(LANES)))
    assert sorted(ends) == [False] * (LANES - 1) + [True]
    assert (await job.other.take(NEXT)).message.body == b"012345"
    assert (await job.other.depth(NEXT), await job.other.depth(MEETING)) == (0, 0)


async def test_a_part_twice_is_one_and_parts_of_another_iteration_stay(memory_job: Job):
    broker = memory_job.other.broker
    await broker.declare(Topology(queues=(browsed(MEETING), browsed(NEXT))))
    await broker.publish(Message(b"no part"), routing_key=MEETING)
    await join_lanes(broker, SystemClock(), MEETING, part(0, "other:1"), onward)
    for lane in (0, 0, *range(1, LANES)):
        last = await join_lanes(broker, SystemClock(), MEETING, part(lane), onward)
    assert last
    assert (await memory_job.other.take(NEXT)).message.body == b"012345"
    assert await memory_job.other.depth(MEETING) == 2
