"""Iterations: each element is a run of its own, in order or in lanes; a failed one stops or is collected; copies change nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.flows.runbooks.conftest import RUN, Call, call, play
from tests.tools.waiting import SOON
from worker.core.topology import lanes_queue
from worker.flows.running.run_message import Run

BOOK = {
    "book": {"method": "POST", "path": "/book/<<Item>>", "body": {"item": "<<Item>>", "of": "<<Name>>"}},
    "sum": {"method": "POST", "path": "/sum", "body": {"found": "<<Found>>", "failed": "<<Failed>>"}},
}
ITEMS = {"name": "Ada", "items": [1, 2, 3, 4, 5]}


def each(**more):
    return {"for_each": "{{ request.items }}", "do": "book"} | more


def booked(api):
    return [call.body["item"] for call in api.calls if call.path.startswith("/book/")]


async def echo(call: Call):
    return 200, {"id": call.body.get("item", 0) * 10 if isinstance(call.body.get("item", 0), int) else 0}


async def refuses_three(call: Call):
    return (422, {}) if call.path == "/book/3" else await echo(call)


async def test_elements_are_taken_in_order_and_see_the_variables_of_the_run(job, api):
    api.on_call = echo
    scene = await play(job, api, {"each": each(next="fin"), "book": call("book"), "fin": {"end": "done"}}, methods=BOOK)
    await scene.begin(ITEMS)
    await scene.done()
    assert booked(api) == [1, 2, 3, 4, 5]
    assert {entry.body["of"] for entry in api.calls} == {"Ada"}
    await scene.empty()


@pytest.mark.parametrize("parallel", [1, 3])
async def test_results_are_collected_in_the_order_of_the_list_and_variables_of_an_element_stay_in_it(memory_job, api, parallel):
    api.on_call = echo
    steps = {
        "before": {"set": {"Id": "none", "Failed": "none"}, "next": "each"},
        "each": each(parallel=parallel, into={"Found": "{{ Id }}"}, next="sum"),
        "book": call("book", output={"Id": "response^id"}, next="fin"),
        "fin": {"end": "done"},
        "sum": call("sum", next=[{"when": "Id = 'none' and $not($exists(Item))", "go": "fin"}]),
    }
    scene = await play(memory_job, api, steps, methods=BOOK)
    await scene.begin(ITEMS)
    await scene.running.until(lambda: any(entry.path == "/sum" for entry in api.calls))
    assert api.calls[-1].body["found"] == [10, 20, 30, 40, 50]
    await scene.empty()
    assert await memory_job.other.depth(lanes_queue("rb")) in (0, None)


async def test_lanes_work_side_by_side_and_meet_on_every_broker(job, api):
    together = asyncio.Barrier(3)

    async def meet(call: Call):
        if call.path.startswith("/book/"):
            async with asyncio.timeout(SOON):
                await together.wait()
        return await echo(call)

    api.on_call = meet
    steps = {"each": each(parallel=3, into={"Found": "{{ response.id }}"}, failures="Failed", next="sum"), "book": call("book"), "sum": call("sum")}
    scene = await play(job, api, steps, methods=BOOK)
    await scene.begin({"name": "Ada", "items": [1, 2, 3, 4, 5, 6]})
    await scene.running.until(lambda: any(entry.path == "/sum" for entry in api.calls))
    assert sorted(booked(api)) == [1, 2, 3, 4, 5, 6]
    assert api.calls[-1].body == {"found": [10, 20, 30, 40, 50, 60], "failed": []}
    await scene.empty()


@pytest.mark.parametrize("parallel", [1, 2])
async def test_failed_elements_are_collected_and_the_others_go_on(memory_job, api, parallel):
    api.on_call = refuses_three
    steps = {"each": each(parallel=parallel, into={"Found": "{{ response.id }}"}, failures="Failed", next="sum"), "book": call("book"), "sum": call("sum")}
    scene = await play(memory_job, api, steps, methods=BOOK)
    await scene.begin(ITEMS)
    await scene.running.until(lambda: any(entry.path == "/sum" for entry in api.calls))
    told = api.calls[-1].body
    assert told["found"] == [10, 20, None, 40, 50]
    [failed] = told["failed"]
    assert {name: failed[name] for name in ("index", "item", "step", "class", "status")} == {
        "index": 2,
        "item": 3,
        "step": "book",
        "class": "rejected",
        "status": 422,
    }
    assert await memory_job.other.depth(f"{RUN}.dead") == 0


async def test_by_itself_the_first_failed_element_fails_the_step(memory_job, api):
    api.on_call = refuses_three
    steps = {"each": each(on_failure="stop", next="stop"), "book": call("book"), "stop": {"end": "failed", "reason": "stopped"}}
    scene = await play(memory_job, api, steps, methods=BOOK)
    await scene.begin(ITEMS)
    assert (await scene.letter()).headers["dead-reason"] == "stopped"
    assert booked(api) == [1, 2, 3]


async def test_a_failed_element_that_nobody_catches_is_a_letter_and_its_replay_goes_on_from_there(memory_job, api):
    api.on_call = refuses_three
    scene = await play(
        memory_job,
        api,
        {"each": each(next="sum", into={"Found": "{{ response.id }}"}), "book": call("book"), "sum": call("total")},
        methods={"book": BOOK["book"], "total": {"method": "POST", "path": "/sum", "body": {"found": "<<Found>>"}}},
    )
    await scene.begin(ITEMS)
    letter = await scene.letter()
    run = Run.read(letter.message.body)
    assert (run.step, run.variables["Item"], run.callers[-1].step) == ("book", 3, "each")
    api.on_call = echo
    await memory_job.other.broker.publish(letter.message.with_headers(), routing_key=RUN)
    await scene.done()
    assert booked(api) == [1, 2, 3, 3, 4, 5]
    assert api.calls[-1].body == {"found": [10, 20, 30, 40, 50]}


async def test_an_empty_list_has_no_elements(memory_job, api):
    steps = {"each": each(into={"Found": "{{ response.id }}"}, failures="Failed", parallel=4, next="sum"), "book": call("book"), "sum": call("sum")}
    scene = await play(memory_job, api, steps, methods=BOOK)
    await scene.begin({"items": []})
    await scene.done()
    assert [entry.body for entry in api.calls] == [{"found": [], "failed": []}]


@pytest.mark.parametrize(("written", "items"), [("{{ request.items[$ > 4] }}", [5]), ("{{ [request.items[$ > 9]] }}", []), ("<<List>>", [1, 2, 3, 4, 5])])
async def test_one_result_of_an_expression_is_a_list_of_one(memory_job, api, written, items):
    scene = await play(
        memory_job, api, {"each": each(for_each=written), "book": call("book")}, methods=BOOK, input={"List": "request^items", "Name": "request^name!"}
    )
    await scene.begin(ITEMS)
    await scene.done()
    assert booked(api) == items


@pytest.mark.parametrize("items", [None, "text", {"a": 1}])
async def test_a_variable_that_is_no_list_fails_the_run(memory_job, api, items):
    scene = await play(
        memory_job, api, {"each": each(for_each="<<List>>"), "book": call("book")}, methods=BOOK, input={"List": "request^items", "Name": "request^name!"}
    )
    await scene.begin({"items": items})
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "transform"
    assert "yields no list" in letter.headers["dead-reason"]


async def test_iterations_within_each_other_keep_their_places(memory_job, api):
    api.on_call = echo
    steps = {
        "outer": {"for_each": "{{ request.orders }}", "as": "Order", "do": "inner", "into": {"Found": "{{ Lines }}"}, "failures": "Failed", "next": "sum"},
        "inner": {"for_each": "{{ Order.lines }}", "do": "book", "parallel": 2, "into": {"Lines": "{{ response.id }}"}},
        "book": call("book"),
        "sum": call("sum"),
    }
    scene = await play(memory_job, api, steps, methods=BOOK)
    await scene.begin({"name": "Ada", "orders": [{"lines": [1, 2, 3]}, {"lines": []}, {"lines": [4]}]})
    await scene.running.until(lambda: any(entry.path == "/sum" for entry in api.calls))
    assert api.calls[-1].body == {"found": [[10, 20, 30], [], [40]], "failed": []}
    await scene.empty()


async def test_the_step_limit_counts_for_each_element_alone(memory_job, api):
    scene = await play(memory_job, api, {"each": each(next="fin"), "book": call("book"), "fin": {"end": "done"}}, methods=BOOK, step_limit=2)
    await scene.begin(ITEMS)
    await scene.done()
    assert len(booked(api)) == 5
