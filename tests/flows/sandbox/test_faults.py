"""The faults of the simulated Halo."""

import asyncio

import aiohttp
import pytest

from worker.sandbox.faults import Fault, FaultBody, FaultKind

TICKET = [{"summary": "x"}]


def tickets_made(visitor):
    return visitor.halo.journal.created("/Tickets")


@pytest.mark.parametrize("executed", [False, True])
@pytest.mark.parametrize("does", [FaultKind.RESET, FaultKind.CLOSE])
async def test_a_connection_breaks_before_or_after_the_operation(visit, does, executed):
    async with visit() as visitor:
        await visitor.get("/Status")
        visitor.halo.faults.add(Fault(does, "POST", "/Tickets", executed=executed))
        with pytest.raises(aiohttp.ClientOSError if does is FaultKind.RESET else aiohttp.ServerDisconnectedError):
            await visitor.post("/Tickets", TICKET)
        assert len(tickets_made(visitor)) == executed
        assert visitor.halo.journal.received("POST", "/Tickets")[0].status == 0
        assert (await visitor.post("/Tickets", TICKET)).status == 201


async def test_an_answer_is_cut_after_the_operation(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.CUT, "POST", "/Tickets"))
        with pytest.raises(aiohttp.ClientPayloadError):
            await visitor.post("/Tickets", TICKET)
        assert tickets_made(visitor) == [31]


@pytest.mark.parametrize("executed", [False, True])
async def test_a_status_is_answered_instead_of_the_operation_or_after_it(visit, executed):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.ANSWER, "POST", status=503, executed=executed, body=FaultBody.HTML, path="/Tickets"))
        answer = await visitor.post("/Tickets", TICKET)
        assert (answer.status, answer.headers["Content-Type"]) == (503, "text/html; charset=utf-8")
        assert len(tickets_made(visitor)) == executed


async def test_the_body_of_an_answer_has_several_kinds(visit):
    async with visit() as visitor:
        for kind in (FaultBody.EMPTY, FaultBody.STRING, FaultBody.EXCEPTION, FaultBody.JSON):
            visitor.halo.faults.add(Fault(FaultKind.ANSWER, path="/Status", status=429, body=kind, text='"text"', headers=(("Retry-After", "7"),)))
        empty, string, exception, raw = [await visitor.get("/Status") for _ in range(4)]
        assert (empty.body, empty.headers["Retry-After"]) == (b"", "7")
        assert string.json == '"text"'
        assert exception.json["Message"] == '"text"'
        assert raw.json == "text"


async def test_a_business_rule_of_a_tenant_answers_its_own_text(visit):
    async with visit() as visitor:
        text = "CODE:APP03/2 Please select the CAB members to approve"
        visitor.halo.faults.add(Fault(FaultKind.ANSWER, method="POST", path="/Tickets", status=400, body=FaultBody.STRING, text=text))
        answer = await visitor.post("/Tickets", [{"summary": "x"}])
        assert (answer.status, answer.json) == (400, text)


async def test_a_login_page_is_answered_with_200(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.HTML, path="/Tickets"))
        answer = await visitor.get("/Tickets")
        assert (answer.status, answer.body[:15]) == (200, b"<!DOCTYPE html>")


@pytest.mark.parametrize("status", [301, 302, 307])
async def test_a_redirect_can_be_sent(visit, status):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.REDIRECT, path="/Tickets", status=status, location="/elsewhere"))
        answer = await visitor.call("POST", "/api/Tickets", json=TICKET, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (status, "/elsewhere")
        assert visitor.halo.journal.received(path="/elsewhere") == []


async def test_a_request_is_held_until_the_fault_is_removed(visit):
    async with visit() as visitor:
        await visitor.get("/Status")
        for executed in (False, True):
            held = visitor.halo.faults.add(Fault(FaultKind.HOLD, "POST", "/Tickets", executed=executed))
            before = len(tickets_made(visitor))
            asked = asyncio.create_task(visitor.post("/Tickets", TICKET))
            await held.arrived.wait()
            assert len(tickets_made(visitor)) == before + executed
            visitor.halo.faults.remove(held.number)
            assert (await asked).status == 201


async def test_a_client_that_gives_up_does_not_stop_the_operation(visit):
    ended = asyncio.Event()
    async with visit(watcher=lambda received, _: ended.set() if received.method == "POST" and received.path == "/api/Tickets" else None) as visitor:
        await visitor.get("/Status")
        held = visitor.halo.faults.add(Fault(FaultKind.HOLD, "POST", "/Tickets"))
        asked = asyncio.create_task(visitor.post("/Tickets", TICKET))
        await held.arrived.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        visitor.halo.faults.clear()
        await ended.wait()
        assert tickets_made(visitor) == [31]


async def test_a_delayed_answer_comes_late_and_others_need_not_wait_for_it(visit):
    async with visit() as visitor:
        await visitor.get("/Status")
        delayed = visitor.halo.faults.add(Fault(FaultKind.DELAY, path="/Status", seconds=3600))
        asked = asyncio.create_task(visitor.get("/Status"))
        await delayed.arrived.wait()
        assert (await visitor.get("/Status")).status == 200
        assert not asked.done()
        asked.cancel()
        visitor.halo.faults.add(Fault(FaultKind.DELAY, path="/Status", seconds=0.001))
        assert (await visitor.get("/Status")).status == 200


async def test_a_page_repeats_whatever_number_is_asked_for(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.REPEAT_PAGE, path="/Tickets", times=None))
        first, second = [(await visitor.get("/Tickets", pageinate="true", page_size=10, page_no=number)).json["tickets"] for number in (1, 2)]
        assert first == second


async def test_pages_never_end(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.ENDLESS_PAGES, path="/Tickets", times=None))
        third, fourth = [(await visitor.get("/Tickets", pageinate="true", page_size=10, page_no=number)).json["tickets"] for number in (3, 4)]
        assert (third[0]["id"], fourth[0]["id"]) == (10, 30)
        assert len(visitor.halo.journal.executed("GET", "/Tickets")) == 2


async def test_a_count_is_wrong(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.WRONG_COUNT, path="/Tickets", size=7))
        assert (await visitor.get("/Tickets")).json["record_count"] == 7


async def test_filters_are_ignored(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.IGNORE_FILTERS, path="/Tickets"))
        assert (await visitor.get("/Tickets", lastupdatefromdate="2099-01-01")).json["record_count"] == 30


async def test_an_answer_is_huge(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.HUGE, path="/Status", size=3_000_000))
        answer = await visitor.get("/Status")
        assert len(answer.body) > 2_900_000
        assert len(answer.json) == 7


async def test_a_small_answer_unpacks_to_a_huge_one(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.BOMB, path="/Status", size=3_000_000))
        answer = await visitor.get("/Status")
        assert int(answer.headers["Content-Length"]) < 10_000
        assert len(answer.body) > 2_900_000


async def test_an_answer_drips(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.DRIP, path="/Tickets/3", seconds=0))
        assert (await visitor.get("/Tickets/3")).json["id"] == 3


async def test_tokens_end_at_a_certain_request(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.REVOKE, "GET", "/Status", nth=2))
        assert [(await visitor.get("/Status")).status for _ in range(3)] == [200, 401, 401]


async def test_a_fault_applies_from_the_nth_matching_request_as_often_as_requested(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.ANSWER, "GET", "/st*", nth=2, times=2, status=500))
        statuses = [(await visitor.get(path)).status for path in ("/Status", "/Team", "/STATUS", "/Status", "/Status")]
        assert statuses == [200, 200, 500, 500, 200]


async def test_of_two_faults_that_answer_the_second_waits_for_the_next_request(visit):
    async with visit() as visitor:
        for status in (502, 504):
            visitor.halo.faults.add(Fault(FaultKind.ANSWER, path="/Status", status=status))
        assert [(await visitor.get("/Status")).status for _ in range(3)] == [502, 504, 200]


async def test_probability_is_reproducible_for_the_same_seed(visit):
    runs = []
    for _ in range(2):
        async with visit() as visitor:
            visitor.halo.faults.add(Fault(FaultKind.ANSWER, path="/Status", times=None, probability=0.5, seed=4))
            runs.append([(await visitor.get("/Status")).status for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


async def test_the_token_endpoint_can_fail_too(visit):
    async with visit() as visitor:
        visitor.halo.faults.add(Fault(FaultKind.HTML, "POST", "/auth/token"))
        assert (await visitor.token()).headers["Content-Type"].startswith("text/html")


async def test_ticket_creates_that_overlap_fail_where_the_race_is_on(visit):
    async with visit(tickets_race=True, create_seconds=0.2) as visitor:
        await visitor.get("/Status")
        answers = await asyncio.gather(*(visitor.post("/Tickets", TICKET) for _ in range(3)))
        assert sorted(answer.status for answer in answers) == [201, 500, 500]
        assert (await visitor.post("/Tickets", TICKET)).status == 201
        assert tickets_made(visitor) == [31, 32]
