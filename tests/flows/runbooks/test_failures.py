"""When steps fail: retries that wait in the broker, `on_failure`, dead letters that go on, and what is in doubt."""

from __future__ import annotations

import asyncio

import pytest

from tests.flows.runbooks.conftest import Cut, action, call, play
from worker.core.topology import retry_queue
from worker.flows.running.run_message import Run
from worker.sandbox.faults import Fault, FaultKind

GOOD, BAD = {"end": "done"}, {"end": "failed", "reason": "went the wrong way"}
NOTE = {"ticket_id": 3, "outcome": "Note", "note_html": "<<Name>>"}
FIND = {"query": {"ticket_id": 3, "includehtmlnote": True}, "match": {"note_html": "<<Name>>"}}


async def test_a_failing_step_waits_in_the_retry_queue_of_its_delay_and_then_goes_on(job, api):
    api.answers((503, {}))
    scene = await play(job, api, {"ask": call("get", retry=["1h"])})
    await scene.begin()
    queue = retry_queue(3600)
    await job.other.settles(queue, 1)
    waiting = await job.other.take(queue)
    assert Run.read(waiting.message.body).step == "ask"
    assert (waiting.headers["halo-attempts"], waiting.headers["halo-doubtful"]) == (1, True)
    assert "Ada" not in str(waiting.headers)


async def test_attempts_count_up_and_the_last_one_may_succeed(job, api):
    api.answers((503, {}), (500, {}), (200, {}))
    scene = await play(job, api, {"ask": call("get", next="good"), "good": GOOD})
    await scene.begin()
    await scene.done()
    assert len(api.calls) == 3
    assert scene.count("retried") == 2
    await scene.empty()


async def test_after_the_last_retry_the_run_goes_to_on_failure_which_sees_the_status(job, api):
    api.answers((503, {"name": "sorry"}))
    steps = {
        "ask": call("get", next="bad", on_failure="look"),
        "look": {"next": [{"when": "status = 503 and response.name = 'sorry'", "go": "good"}, {"go": "bad"}]},
        "good": GOOD,
        "bad": BAD,
    }
    scene = await play(job, api, steps)
    await scene.begin()
    await scene.done()
    assert len(api.calls) == 3


async def test_without_on_failure_the_run_is_buried_whole_after_the_last_retry(job, api, capsys):
    api.answers((503, {"name": "sorry"}))
    scene = await play(job, api, {"ask": call("put")})
    await scene.begin({"name": "Hunter2planted", "number": 7})
    letter = await scene.letter()
    headers = letter.headers
    assert (headers["dead-class"], headers["dead-status"], headers["dead-attempts"]) == ("retries_exhausted", 503, 3)
    assert headers["dead-reason"].startswith("step 'ask': 127.0.0.1")
    assert "Hunter2planted" not in str(headers) + capsys.readouterr().out
    run = Run.read(letter.message.body)
    assert (run.step, run.variables, run.request) == ("ask", {"Name": "Hunter2planted", "Number": 7}, {"name": "Hunter2planted", "number": 7})


@pytest.mark.parametrize(("status", "dead_class"), [(400, "rejected"), (404, "rejected"), (302, "rejected"), (401, "auth"), (403, "auth")])
async def test_a_refusal_ends_the_run_at_once_with_its_class(memory_job, api, status, dead_class):
    api.answers((status, {"name": "Hunter2planted"}))
    scene = await play(memory_job, api, {"ask": call()})
    await scene.begin()
    letter = await scene.letter()
    assert (letter.headers["dead-class"], letter.headers["dead-status"], letter.headers["dead-attempts"]) == (dead_class, status, 1)
    assert "Hunter2planted" not in str(letter.headers)
    assert len(api.calls) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_a_refusal_goes_to_on_failure_at_once(memory_job, api, status):
    api.answers((status, {}), (200, {}))
    steps = {"ask": call(on_failure="tell"), "tell": call("put", next=[{"when": "status = 200", "go": "good"}]), "good": GOOD}
    scene = await play(memory_job, api, steps)
    await scene.begin()
    await scene.done()
    assert [call.method for call in api.calls] == ["POST", "PUT"]


@pytest.mark.parametrize("failure", [(503, {}), (500, {}), (408, {}), Cut])
@pytest.mark.parametrize("verb", ["get", "put", "delete"])
async def test_a_get_put_or_delete_whose_answer_is_lost_is_made_again(memory_job, api, verb, failure):
    api.answers(failure, (200, {}))
    scene = await play(memory_job, api, {"ask": call(verb)})
    await scene.begin()
    await scene.done()
    assert len(api.calls) == 2


@pytest.mark.parametrize("failure", [(503, {}), (500, {}), (408, {}), Cut])
@pytest.mark.parametrize("verb", ["post", "patch"])
async def test_a_post_or_patch_whose_answer_is_lost_is_in_doubt_also_where_there_is_an_on_failure(memory_job, api, verb, failure):
    api.answers(failure, (200, {}))
    scene = await play(memory_job, api, {"ask": call(verb, on_failure="bad"), "bad": BAD})
    await scene.begin()
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "in_doubt"
    assert Run.read(letter.message.body).step == "ask"
    assert len(api.calls) == 1


async def test_a_post_in_doubt_is_repeated_where_the_step_says_so(memory_job, api):
    api.answers(Cut, (200, {}))
    scene = await play(memory_job, api, {"ask": call(in_doubt="repeat")})
    await scene.begin()
    await scene.done()
    assert len(api.calls) == 2


async def test_a_throttled_post_did_not_happen_and_is_made_again(memory_job, api):
    api.answers((429, {}), (200, {}))
    scene = await play(memory_job, api, {"ask": call()})
    await scene.begin()
    await scene.done()
    assert len(api.calls) == 2


async def test_a_429_with_retry_after_counts_as_no_attempt_and_waits_as_long_as_the_api_asks(job, api):
    api.answers((429, {}))
    api.headers = {"Retry-After": "120"}
    scene = await play(job, api, {"ask": call(retry=["10s", "1h"])})
    await scene.begin()
    await job.other.settles(retry_queue(120), 1)
    waiting = await job.other.take(retry_queue(120))
    assert (waiting.headers["halo-attempts"], waiting.headers["halo-doubtful"]) == (0, False)
    assert len(api.calls) == 1


@pytest.mark.parametrize(("asked", "waited"), [("1", 30), ("31", 120), ("301", 900), ("86400", 900)])
async def test_a_429_is_waited_for_in_the_first_queue_that_is_long_enough_also_without_any_retry(memory_job, api, asked, waited):
    api.answers((429, {}))
    api.headers = {"Retry-After": asked}
    scene = await play(memory_job, api, {"ask": call("get", retry=[], on_failure="bad"), "bad": BAD})
    await scene.begin()
    await memory_job.other.settles(retry_queue(waited), 1)


async def test_an_api_that_is_not_there_is_tried_as_often_as_the_step_says_and_not_more(memory_job, api):
    api.url = "http://127.0.0.1:1"
    scene = await play(memory_job, api, {"ask": call(on_failure="tell"), "tell": {"end": "failed", "reason": "nobody there"}})
    await scene.begin()
    letter = await scene.letter()
    assert letter.headers["dead-reason"] == "nobody there"
    assert scene.count("retried") == 2


async def test_a_method_that_takes_too_long_is_cut_off_by_the_timeout_of_its_step(job, api):
    never = asyncio.Event()

    async def slow(_):
        await never.wait()
        return 200, {}

    api.on_call = slow
    scene = await play(job, api, {"ask": call("get", timeout="200ms", retry=[], on_failure="tell"), "tell": {"end": "failed", "reason": "too slow"}})
    await scene.begin()
    letter = await scene.letter()
    never.set()
    assert letter.headers["dead-reason"] == "too slow"


async def test_a_post_that_timed_out_is_in_doubt(memory_job, api):
    never = asyncio.Event()

    async def slow(_):
        await never.wait()
        return 200, {}

    api.on_call = slow
    scene = await play(memory_job, api, {"ask": call(timeout="200ms")})
    await scene.begin()
    letter = await scene.letter()
    never.set()
    assert letter.headers["dead-class"] == "in_doubt"


@pytest.mark.parametrize(("name", "body"), [("get_control", None), ("update_ticket", {"id": 3, "summary": "x", "tickettype_id": 1, "client_id": 1})])
async def test_a_read_or_update_of_halo_that_takes_too_long_is_made_again(memory_job, api, halos, name, body):
    halo = await halos()
    path = "/Control" if body is None else "/Tickets"
    halo.fault(Fault(FaultKind.DELAY, "*", path, times=1, seconds=5))
    scene = await play(memory_job, api, {"do": action(name, body, timeout="300ms")}, halo)
    await scene.begin()
    await scene.done()
    assert len(halo.journal.received(path=f"/api{path}")) > 1


async def test_a_note_that_takes_too_long_is_in_doubt(memory_job, api, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.HOLD, "POST", "/Actions", executed=True))
    scene = await play(memory_job, api, {"note": action("create_action", NOTE, timeout="300ms")}, halo)
    await scene.begin()
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "in_doubt"
    assert len(halo.journal.created("/Actions")) == 1


async def test_waiting_for_the_budget_of_halo_is_not_taken_for_a_slow_answer(memory_job, api, halos):
    halo = await halos()
    scene = await play(memory_job, api, {"note": action("create_action", NOTE, timeout="300ms")}, halo, rate_limit="6/3s")
    for _ in range(8):
        await scene.begin()
    await scene.done(8)
    assert len(halo.journal.created("/Actions")) == 8


async def test_a_step_may_take_longer_than_its_client_allows_others(memory_job, api, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.DELAY, "GET", "/Control", seconds=1.5))
    scene = await play(memory_job, api, {"read": action("get_control", timeout="10s")}, halo, timeout="500ms")
    await scene.begin()
    await scene.done()
    assert len(halo.journal.received("GET", "/Control")) == 1


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("then", ["skip", "update"])
async def test_a_note_whose_answer_is_lost_is_looked_up_and_there_is_one_in_the_end(job, api, halos, then, executed):
    halo = await halos()
    halo.fault(Fault(FaultKind.CLOSE, "POST", "/Actions", executed=executed))
    scene = await play(job, api, {"note": action("create_action", NOTE, find=FIND | {"then": then})}, halo)
    await scene.begin({"name": "unique text"})
    await scene.done()
    assert len(halo.journal.created("/Actions")) == 1
    posts = len(halo.journal.received("POST", "/Actions"))
    assert posts == (1 if executed and then == "skip" else 2)
    await scene.empty()


async def test_a_find_that_is_always_used_keeps_a_second_run_from_writing_the_same_note(memory_job, api, halos):
    halo = await halos()
    scene = await play(memory_job, api, {"note": action("create_action", NOTE, find=FIND | {"use": "always", "then": "skip"})}, halo)
    await scene.begin({"name": "only once"})
    await scene.done()
    await scene.begin({"name": "only once"})
    await scene.done(2)
    assert len(halo.journal.created("/Actions")) == 1


async def test_what_halo_refuses_is_told_in_its_words_and_goes_to_on_failure(memory_job, api, halos):
    halo = await halos()
    note = NOTE | {"ticket_id": 999_999}
    scene = await play(memory_job, api, {"note": action("create_action", note)}, halo)
    await scene.begin()
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "rejected"
    assert letter.headers["dead-reason"] == "step 'note': Halo answered 400: Record not found"


async def test_a_run_that_outgrows_what_can_travel_is_buried_at_the_step_that_did_it(memory_job, api):
    api.answers((200, {"a": "x" * 7_000_000}))
    output = dict.fromkeys(("One", "Two", "Three"), "response^a")
    scene = await play(memory_job, api, {"ask": call("get", output=output, next="more"), "more": call("get")})
    await scene.begin()
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "transform"
    assert "bytes; at most 16,777,216 are allowed" in letter.headers["dead-reason"]
    assert Run.read(letter.message.body).step == "ask"
    assert len(api.calls) == 1
