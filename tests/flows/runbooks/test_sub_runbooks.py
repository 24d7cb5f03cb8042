"""A runbook that starts another one: with and without waiting for its end, which is a message that takes the parent on."""

from __future__ import annotations

from tests.flows.runbooks.conftest import DEAD, call, play
from worker.flows.running.run_message import Run, run_queue

METHODS = {
    "show": {"method": "POST", "path": "/show", "body": {"got": "<<Got>>", "name": "<<Name>>"}},
    "child": {"method": "POST", "path": "/child", "body": {"id": "<<Id>>"}},
}
CHILD = {
    "input": {"Id": "request^id", "Other": "request^other"},
    "first": "ask",
    "steps": {"ask": {"method": "api.child", "retry": ["50ms"], "output": {"Name": "response^name!"}}},
}


def start(**more):
    return {"start": "child", "input": {"Id": "<<Number>>"}} | more


async def test_a_started_runbook_gets_its_input_and_the_parent_goes_on_at_once(job, api):
    scene = await play(job, api, {"more": start(next="ask"), "ask": call()}, methods=METHODS, others={"child": CHILD})
    await scene.begin()
    await scene.done()
    await scene.running.settled("child", "done")
    assert {(entry.path, str(entry.body)) for entry in api.calls} == {("/child", "{'id': 7}"), ("/things", "{'name': 'Ada'}")}


async def test_the_end_of_a_runbook_that_is_waited_for_takes_the_parent_on_with_its_variables(job, api):
    api.answers((200, {"name": "Grace"}))
    steps = {"more": start(wait=True, output={"Got": "response^Name!"}, next="show"), "show": call("show")}
    scene = await play(job, api, steps, methods=METHODS, others={"child": CHILD})
    await scene.begin()
    await scene.done()
    assert [(entry.path, entry.body) for entry in api.calls] == [("/child", {"id": 7}), ("/show", {"got": "Grace", "name": "Ada"})]
    await scene.empty()


async def test_the_failure_of_a_runbook_that_is_waited_for_is_the_failure_of_the_step(memory_job, api):
    api.answers((422, {}))
    steps = {"more": start(wait=True, on_failure="caught", next="caught"), "caught": {"end": "failed", "reason": "caught"}}
    scene = await play(memory_job, api, steps, methods=METHODS, others={"child": CHILD})
    await scene.begin()
    assert (await scene.letter()).headers["dead-reason"] == "caught"
    assert await memory_job.other.depth(f"{run_queue('child')}.dead") == 0


async def test_a_failure_that_no_parent_catches_holds_all_runs_and_its_replay_goes_on_in_the_parent(memory_job, api):
    api.answers((422, {}))
    steps = {"more": start(wait=True, output={"Got": "response^Name!"}, next="show"), "show": call("show")}
    scene = await play(memory_job, api, steps, methods=METHODS, others={"child": CHILD})
    await scene.begin()
    letter = await memory_job.other.take(f"{run_queue('child')}.dead")
    run = Run.read(letter.message.body)
    assert (run.step, [caller.step for caller in run.callers]) == ("ask", ["more"])
    assert await memory_job.other.depth(DEAD) == 0
    api.answers((200, {"name": "Grace"}))
    await memory_job.other.broker.publish(letter.message, routing_key=run_queue("child"))
    await scene.done()
    assert api.calls[-1].body == {"got": "Grace", "name": "Ada"}


async def test_runbooks_that_start_each_other_without_end_fail_where_ten_are_below_each_other(memory_job, api):
    scene = await play(memory_job, api, {"again": {"start": "rb", "input": {"Name": "<<Name>>", "Number": "<<Number>>"}, "next": "ask"}, "ask": call()})
    await scene.begin()
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "failed"
    assert "10 runs are below each other" in letter.headers["dead-reason"]
    assert len(api.calls) == 10


async def test_elements_may_wait_for_a_runbook_each(memory_job, api):
    api.answers((200, {"name": "Grace"}))
    steps = {
        "each": {"for_each": "{{ request.items }}", "do": "more", "parallel": 2, "into": {"Names": "{{ response.Name }}"}, "next": "show"},
        "more": {"start": "child", "input": {"Id": "<<Item>>"}, "wait": True},
        "show": call("names"),
    }
    scene = await play(
        memory_job, api, steps, methods={"child": METHODS["child"], "names": {"method": "POST", "path": "/names", "body": "<<Names>>"}}, others={"child": CHILD}
    )
    await scene.begin({"items": [1, 2, 3]})
    await scene.running.until(lambda: any(entry.path == "/names" for entry in api.calls))
    assert api.calls[-1].body == ["Grace"] * 3
    assert sorted(entry.body["id"] for entry in api.calls[:-1]) == [1, 2, 3]
    await scene.empty()
