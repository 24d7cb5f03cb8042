"""Where lanes meet: however they come together, one of them finds the parts of all, and parts of other iterations stay."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from tests.flows.job.conftest import Job
from worker.broker.open import open_broker
from worker.core.clock import SystemClock
from worker.core.errors import Undecodable
from worker.core.header_codec import HeaderCodec
from worker.core.json_codec import decode
from worker.core.lanes import LanePart
from worker.core.ledger import visit_key
from worker.core.message import Message
from worker.core.topology import Topology, browsable_queue, claims_topology
from worker.metrics import Metrics
from worker.state import lane_results
from worker.state.current_broker import CurrentBroker
from worker.state.lane_results import LaneResults

MEETING, NEXT, LANES = "halo.join.rb", "next", 6
CODEC = HeaderCodec(b"k" * 32)


def onward(parts):
    return Message(b"".join(parts[lane]["mark"].encode() for lane in sorted(parts))), NEXT


def part(lane, key="r:1"):
    return LanePart(key, lane, LANES, {"mark": str(lane)})


async def test_of_lanes_that_end_together_on_several_replicas_one_finds_all_parts(job: Job):
    await job.other.broker.declare(Topology(queues=(browsable_queue(MEETING), browsable_queue(NEXT))))
    async with open_broker(job.url, name="one", server=job.server) as one, open_broker(job.url, name="two", server=job.server) as two:
        replicas = [CurrentBroker(CODEC, Metrics()), CurrentBroker(CODEC, Metrics())]
        async with replicas[0].attached(one, SystemClock(), claiming=False), replicas[1].attached(two, SystemClock(), claiming=False):
            ends = await asyncio.gather(*(replicas[lane % 2].join(MEETING, part(lane), onward) for lane in range(LANES)))
    assert sorted(ends) == [False] * (LANES - 1) + [True]
    assert (await job.other.take(NEXT)).message.body == b"012345"
    assert (await job.other.depth(NEXT), await job.other.depth(MEETING)) == (0, 0)


async def test_parts_of_an_iteration_that_failed_are_taken_off_by_the_next_lane_that_ends(memory_job: Job):
    """Otherwise each lane that ends would read all that were ever left there."""
    await memory_job.other.broker.declare(Topology(queues=(browsable_queue(MEETING), browsable_queue(NEXT))) + claims_topology())
    current = CurrentBroker(CODEC, Metrics())
    async with open_broker(memory_job.url, name="one", server=memory_job.server) as one, current.attached(one, SystemClock(), claiming=True):
        for key in ("failed:1", "waits:1", "failed:2", "odd", "odd:x", f"odd:{'9' * 5000}"):
            assert not await current.join(MEETING, part(0, key), onward)
        await current.claim(visit_key("failed", 2), "the run went on to `on_failure`")
        assert not await current.join(MEETING, part(0), onward)
    keys = [json.loads(each.message.body)["key"][:10] for each in await memory_job.other.drain(MEETING)]
    assert sorted(keys) == ["failed:2", "odd", "odd:999999", "odd:x", "r:1", "waits:1"]


async def test_a_part_twice_is_one_and_parts_of_another_iteration_stay(memory_job: Job):
    results = await here(memory_job)
    await results.join(MEETING, part(0, "other:1"), onward)
    for lane in (0, 0, *range(1, LANES)):
        last = await results.join(MEETING, part(lane), onward)
    assert last
    assert (await memory_job.other.take(NEXT)).message.body == b"012345"
    assert await memory_job.other.depth(MEETING) == 1


async def test_large_parts_of_other_iterations_are_not_decoded_and_those_that_are_over_are_taken_off(job: Job, monkeypatch):
    decoded = []

    def decoding(body, **more):
        decoded.append(len(body))
        return decode(body, **more)

    async def over(key):
        return key == "failed:1"

    monkeypatch.setattr(lane_results, "decode", decoding)
    results = replace(await here(job), over=over)
    large = {"mark": "x" * 100_000}
    long = "r." * 200 + ":1"
    for key in ("failed:1", "waits:1", "waits:1", long):
        await results.join(MEETING, LanePart(key, 0, LANES, large), onward)
    decoded.clear()
    for lane in range(LANES):
        last = await results.join(MEETING, replace(part(lane), document={"mark": str(lane), "pad": large}), onward)
    assert last
    assert (await job.other.take(NEXT)).message.body == b"012345"
    own = [size for size in decoded if size > 100_000]
    assert len(own) == sum(range(1, LANES + 1)) + LANES, "its own parts each time, and the one whose key is too long to be told by its id"
    keys = [json.loads(each.message.body)["key"] for each in await job.other.drain(MEETING)]
    assert sorted(keys) == sorted([long, "waits:1", "waits:1"])


async def test_a_result_that_no_worker_wrote_becomes_no_variable_of_a_run_and_is_counted(memory_job: Job):
    results = await here(memory_job)
    forged = json.dumps({"key": "r:1", "lane": 0, "document": {"mark": "X"}}).encode()
    written_elsewhere = CODEC.sign(Message(forged), "halo.join.other")
    for message in (Message(b"no part"), Message(forged), written_elsewhere, HeaderCodec(b"x" * 32).sign(Message(forged), MEETING)):
        await memory_job.other.broker.publish(message, routing_key=MEETING)
    for lane in range(LANES):
        last = await results.join(MEETING, part(lane), onward)
    assert last
    assert (await memory_job.other.take(NEXT)).message.body == b"012345"
    assert await memory_job.other.depth(MEETING) == 0
    assert results.metrics.refused_state.labels("lane")._value.get() == 4


async def test_results_that_no_run_can_hold_together_are_refused_before_all_of_them_are_read(memory_job: Job, monkeypatch):
    decoded = []

    def decoding(body, **more):
        decoded.append(len(body))
        return decode(body, **more)

    results = await here(memory_job)
    monkeypatch.setattr(lane_results, "MAX_BYTES", 100_000)
    for lane in range(2):
        assert not await results.join(MEETING, replace(part(lane), document={"mark": "x" * 45_000}), onward)
    for lane in range(3, LANES):
        await results.broker.publish(
            CODEC.sign(Message(json.dumps({"key": "r:1", "lane": lane, "document": {"mark": "x" * 45_000}}).encode()), MEETING), routing_key=MEETING
        )
    monkeypatch.setattr(lane_results, "decode", decoding)
    with pytest.raises(
        Undecodable, match=r"^the results of its lanes have more than 100,000 bytes or 1,000,000 names and values together: no run can hold them$"
    ):
        await results.join(MEETING, replace(part(2), document={"mark": "x"}), onward)
    assert len(decoded) == 3
    assert await memory_job.other.depth(NEXT) == 0


async def here(job: Job) -> LaneResults:
    await job.other.broker.declare(Topology(queues=(browsable_queue(MEETING), browsable_queue(NEXT))))
    return LaneResults(job.other.broker, SystemClock(), CODEC, Metrics())
