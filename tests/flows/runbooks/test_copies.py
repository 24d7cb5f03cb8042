"""Messages of steps that come more than once: copies are dropped, and a dead letter that is put back goes on from its step."""

from __future__ import annotations

import asyncio

from tests.flows.runbooks.conftest import DEAD, RUN, call, play
from worker.core.message import Message
from worker.flows.running.run_message import Run


async def test_the_body_of_a_dead_letter_put_back_on_the_queue_of_steps_goes_on_from_that_step(job, api):
    api.answers((200, {"name": "Grace"}), (400, {}), (200, {"name": "x"}))
    steps = {"one": call(output={"Found": "response^name!"}, next="two"), "two": call("put", next="three"), "three": call("patch")}
    scene = await play(job, api, steps)
    await scene.begin()
    letter = await scene.letter()
    assert [call.method for call in api.calls] == ["POST", "PUT"]
    await job.other.broker.publish(Message(letter.message.body), routing_key=RUN)
    await scene.done()
    assert [call.method for call in api.calls] == ["POST", "PUT", "PUT", "PATCH"]
    await scene.empty()


async def test_a_dead_letter_put_back_twice_does_its_step_once(job, api):
    api.answers((400, {}), (200, {}))
    scene = await play(job, api, {"one": call("put", next="two"), "two": call("patch")})
    await scene.begin()
    letter = await scene.letter()
    await job.other.broker.publish(letter.message, routing_key=RUN)
    await scene.done()
    await job.other.broker.publish(letter.message, routing_key=RUN)
    await scene.running.settled("rb", "skipped")
    assert [call.method for call in api.calls] == ["PUT", "PUT", "PATCH"]


async def test_two_starts_with_one_message_id_are_one_run_and_starts_without_an_id_are_two(job, api):
    scene = await play(job, api, {"ask": call()})
    await scene.begin(message_id="order-1")
    await scene.begin(message_id="order-1")
    await scene.running.settled("rb", "skipped")
    await scene.done()
    assert len(api.calls) == 1
    for _ in range(2):
        await scene.begin(message_id="")
    await scene.done(3)
    assert len(api.calls) == 3
    assert await job.other.depth(DEAD) == 0


async def test_a_copy_of_a_step_that_a_crash_left_is_dropped_by_its_claim(job, api):
    scene = await play(job, api, {"one": call(next="two"), "two": call("put")})
    first = Run("r1", "rb", step="two", visit=2, request={})
    for _ in range(3):
        await job.other.broker.publish(first.message(), routing_key=RUN)
    await scene.running.settled("rb", "skipped", 2)
    await scene.done()
    assert len(api.calls) == 1


async def test_a_copy_of_a_step_that_is_still_under_way_is_dropped_too(job, api):
    go_on = asyncio.Event()

    async def slow(_):
        await go_on.wait()
        return 200, {}

    api.on_call = slow
    scene = await play(job, api, {"two": call("put")})
    await job.other.broker.publish(Run("r1", "rb", step="two", visit=2, request={}).message(), routing_key=RUN)
    await scene.running.until(lambda: len(api.calls) == 1)
    await job.other.broker.publish(Run("r1", "rb", step="two", visit=2, request={}).message(), routing_key=RUN)
    await scene.running.settled("rb", "skipped")
    go_on.set()
    await scene.done()
    assert len(api.calls) == 1
