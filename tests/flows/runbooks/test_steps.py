"""What the steps of a run see and do: variables, conditions, branches, ends."""

from __future__ import annotations

import pytest

from tests.flows.runbooks.conftest import DEAD, GO, RUN, call, play
from worker.flows.running.run_message import Run

GOOD, BAD = {"end": "done"}, {"end": "failed", "reason": "went the wrong way"}


async def test_variables_of_the_payload_and_of_earlier_steps_reach_later_ones_with_their_types(job, api):
    methods = {
        "all": {
            "method": "POST",
            "path": "/things/<<Number>>/of/<<First>>",
            "query": {"q": "a <<Name>> b", "raw": "<<Items>>"},
            "body": {
                "number": "<<Number>>",
                "in_text": "no. <<Number>> <<Quoted>> <<Name>>",
                "items": "<<Items>>",
                "sum": "{{ Number + 1 }}",
                "last": "<<response^name>>",
            },
        }
    }
    steps = {
        "look": call("get", output={"Items": "response^items", "First": "response^items[id=2]^text!", "Quoted": "response^name"}, next="pass_by"),
        "pass_by": {"next": "use"},
        "use": call("all"),
    }
    scene = await play(job, api, steps, methods=methods)
    await scene.begin({"name": "Bob", "number": 7})
    await scene.done()
    used = api.calls[1]
    items = [{"id": 1, "text": "one"}, {"id": 2, "text": "two"}]
    assert used.path == "/things/7/of/two"
    assert used.query["q"] == "a Bob b"
    assert used.body == {"number": 7, "in_text": 'no. 7 "Ada" Bob', "items": items, "sum": 8, "last": "Ada"}
    await scene.empty()


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("status = 201", True),
        ("status = 200", False),
        ("response.items[id = 2].text = 'two'", True),
        ("request.number = 7 and Number = 7", True),
        ("Text = 'two'", True),
        ("$exists(Text)", True),
        ("$exists(Missing)", False),
        ("Missing = null", False),
        ("$exists(Nothing) and Nothing = null", True),
    ],
)
async def test_conditions_see_status_response_request_and_variables(memory_job, api, when, holds):
    output = {"Text": "response^items[1]^text!", "Missing": "response^nowhere[3]^x", "Nothing": "response^nothing"}
    api.answers((201, {"items": [{"id": 1}, {"id": 2, "text": "two"}], "nothing": None}))
    steps = {"ask": call("post", output=output, next=[{"when": when, "go": "good"}, {"go": "bad"}]), "good": GOOD, "bad": BAD}
    scene = await play(memory_job, api, steps)
    await scene.begin()
    await scene.running.settled("rb", "done" if holds else "dead_failed")


async def test_the_first_branch_that_holds_is_taken(memory_job, api):
    branches = [{"when": "false", "go": "bad"}, {"when": "Number > 5", "go": "good"}, {"when": "true", "go": "bad"}, {"go": "bad"}]
    scene = await play(memory_job, api, {"choose": {"next": branches}, "good": GOOD, "bad": BAD})
    await scene.begin()
    await scene.done()


async def test_missing_variables_are_warned_of_by_name_and_sent_as_null_or_as_empty_text(memory_job, api, capsys):
    methods = {"show": {"method": "POST", "path": "/things", "body": {"alone": "<<Name>>", "inside": "x<<Name>>y"}}}
    scene = await play(memory_job, api, {"ask": call("show")}, methods=methods)
    await scene.begin({"number": 1})
    await scene.done()
    assert api.calls[0].body == {"alone": None, "inside": "xy"}
    told = capsys.readouterr().out
    assert "variable.missing" in told
    assert "request^name" in told


async def test_a_step_without_next_ends_the_run_in_silence(job, api):
    scene = await play(job, api, {"ask": call()})
    await scene.begin()
    await scene.done()
    await scene.empty()
    assert scene.count("dead_failed") == 0


async def test_end_failed_buries_the_run_with_its_reason(job, api):
    steps = {"ask": call("get", output={"First": "response^name!"}, next="stop"), "stop": {"end": "failed", "reason": "no <<Number>> for <<First>>"}}
    scene = await play(job, api, steps)
    await scene.begin({"name": "Bob", "number": 7})
    letter = await scene.letter()
    assert (letter.headers["dead-class"], letter.headers["dead-reason"], letter.headers["dead-route"]) == ("failed", "no 7 for Ada", "rb")
    run = Run.read(letter.message.body)
    assert (run.step, run.runbook, run.status) == ("stop", "rb", 200)
    assert run.variables == {"Name": "Bob", "Number": 7, "First": "Ada"}
    assert run.plain == ("First", "Name")
    assert run.request == {"name": "Bob", "number": 7}
    assert letter.message.correlation_id == run.id


async def test_a_long_reason_is_cut_so_that_it_fits_into_a_header(job, api):
    api.answers((200, {"name": "x" * 200_000}))
    steps = {"ask": call("get", output={"First": "response^name!"}, next="stop"), "stop": {"end": "failed", "reason": "<<First>>"}}
    scene = await play(job, api, steps)
    await scene.begin()
    letter = await scene.letter()
    assert letter.headers["dead-reason"] == "x" * 1000


async def test_where_no_branch_holds_the_run_fails(memory_job, api):
    scene = await play(memory_job, api, {"choose": {"next": [{"when": "Number > 100", "go": "good"}]}, "good": GOOD})
    await scene.begin()
    letter = await scene.letter()
    assert (letter.headers["dead-class"], letter.headers["dead-reason"]) == ("failed", "no branch of step 'choose' holds")


async def test_a_loop_is_stopped_by_the_step_limit(memory_job, api):
    steps = {"again": call("get", next=[{"when": "status = 500", "go": "good"}, {"go": "again"}]), "good": GOOD}
    scene = await play(memory_job, api, steps, step_limit=5)
    await scene.begin()
    letter = await scene.letter()
    assert (letter.headers["dead-class"], letter.headers["dead-reason"]) == ("failed", "the run has taken 5 steps, which is its limit")
    assert len(api.calls) == 5


async def test_a_run_of_just_as_many_steps_as_the_limit_comes_to_its_end(memory_job, api):
    steps = {"one": call(next="two"), "two": call(next="good"), "good": GOOD}
    scene = await play(memory_job, api, steps, step_limit=2)
    await scene.begin()
    await scene.done()


async def test_a_step_that_the_runbook_has_no_more_ends_the_run_with_a_sentence(memory_job, api):
    scene = await play(memory_job, api, {"ask": call()})
    message = Run("r1", "rb", step="gone", visit=3, request={}).message()
    await memory_job.other.broker.publish(message, routing_key=RUN)
    letter = await scene.letter()
    assert (letter.headers["dead-class"], letter.headers["dead-reason"]) == ("failed", "the runbook has no step 'gone' any more")
    assert letter.message.body == message.body


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"v":1}', b'{"v":2,"id":"x"}', b"\xff\xfe", b"[" * 100])
async def test_garbage_on_the_queue_of_steps_is_buried_as_it_is(memory_job, api, body):
    scene = await play(memory_job, api, {"ask": call()})
    await memory_job.other.send(body, RUN)
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "decode"
    assert letter.message.body == body
    assert api.calls == []


async def test_garbage_on_the_starting_queue_is_buried_there(job, api):
    scene = await play(job, api, {"ask": call()})
    await job.other.send(b"no json", GO)
    letter = await job.other.take(f"{GO}.dead")
    assert (letter.headers["dead-class"], letter.message.body) == ("decode", b"no json")
    assert scene.count("passed") == 0


@pytest.mark.parametrize("payload", [[1, 2], "text", 7, None, {"name": None}])
async def test_any_json_can_start_a_run(memory_job, api, payload):
    scene = await play(memory_job, api, {"ask": call("get")})
    await memory_job.other.send(payload, GO)
    await scene.done()


async def test_payloads_and_answers_of_the_full_depth_travel(memory_job, api):
    deep: object = "bottom"
    for _ in range(63):
        deep = [deep]
    api.answers((200, {"deep": deep}), (200, {}))
    steps = {"one": call("get", output={"Deep": "response^deep"}, next="two"), "two": call("keep", next="three"), "three": call("get")}
    scene = await play(memory_job, api, steps, methods={"keep": {"method": "POST", "path": "/x", "body": {"deep": "<<Deep>>"}}})
    await memory_job.other.send({"deep": deep}, GO)
    await scene.done()
    assert api.calls[1].body == {"deep": deep}


async def test_an_answer_too_large_to_travel_stays_behind_and_its_variables_go_on(memory_job, api):
    api.answers((200, {"name": "Eve", "weight": "x" * 300_000}), (200, {}))
    steps = {
        "ask": call("get", output={"Found": "response^name!"}, next=[{"when": "$length(response.weight) = 300000", "go": "look"}, {"go": "bad"}]),
        "look": {"next": [{"when": "Found = 'Eve' and status = 200 and $not($boolean(response))", "go": "good"}, {"go": "bad"}]},
        "good": GOOD,
        "bad": BAD,
    }
    scene = await play(memory_job, api, steps)
    await scene.begin()
    await scene.done()


async def test_an_expression_that_fails_buries_the_run_and_tells_the_step_without_its_data(memory_job, api, capsys):
    steps = {"choose": {"next": [{"when": "$number(Name) > 1", "go": "good"}]}, "good": GOOD}
    scene = await play(memory_job, api, steps)
    await scene.begin({"name": "Hunter2planted"})
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "transform"
    assert letter.headers["dead-reason"].startswith("step 'choose': ")
    assert "Hunter2planted" not in str(letter.headers) + capsys.readouterr().out
    assert Run.read(letter.message.body).variables == {"Name": "Hunter2planted"}
    assert await memory_job.other.depth(DEAD) == 0


async def test_what_no_segment_can_hold_is_refused_before_a_call_and_goes_to_on_failure(memory_job, api):
    methods = {"into": {"method": "GET", "path": "/things/<<Name>>"}}
    steps = {"ask": call("into", next="bad", on_failure="tell"), "tell": call("post"), "bad": BAD}
    scene = await play(memory_job, api, steps, methods=methods)
    await scene.begin({"name": "../admin", "number": 1})
    await scene.done()
    assert [(call.method, call.body) for call in api.calls] == [("POST", {"name": "../admin"})]
