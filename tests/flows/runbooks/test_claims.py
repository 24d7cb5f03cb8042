"""Runs and the stream of claims: what becomes of them when it cannot be read, and over two replicas."""

from __future__ import annotations

from tests.flows.runbooks.conftest import DEAD, RUN, call, play
from worker.core.topology import CLAIMS, claims_topology


async def test_two_replicas_take_every_step_once(job, api):
    steps = {"one": call(next="two"), "two": call("put", next="three"), "three": call("patch")}
    first = await play(job, api, steps)
    second = await play(job, api, steps)
    for _ in range(30):
        await first.begin()
    await first.running.until(lambda: first.count("done") + second.count("done") == 30)
    assert sorted(call.method for call in api.calls) == ["PATCH"] * 30 + ["POST"] * 30 + ["PUT"] * 30
    assert min(first.count("passed"), second.count("passed")) > 0
    assert await job.other.depth(DEAD) == 0


async def test_a_stream_of_claims_that_is_deleted_is_made_anew_and_runs_go_on_without_going_round(memory_job, api, monkeypatch):
    monkeypatch.setattr("worker.state.stream_follower.SILENCE", 0.5)
    scene = await play(memory_job, api, {"one": call(next="two"), "two": call("put")})
    await scene.begin()
    await scene.done()
    await memory_job.other.broker.delete(claims_topology())
    await scene.begin()
    await scene.done(2)
    assert scene.count("retried") < 20, "a step that cannot be claimed must not spin"
    assert await memory_job.other.broker.queue_exists(CLAIMS)
    assert [call.method for call in api.calls] == ["POST", "PUT", "POST", "PUT"]
    assert await memory_job.other.depth(RUN) == 0
