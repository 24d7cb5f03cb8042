"""A create that may have been done is looked up before it is done again: one record, whatever happens on the way."""

from __future__ import annotations

import pytest

from tests.tools.job import publisher, routes
from tests.tools.sizes import every_nth
from worker.sandbox.faults import Fault, FaultKind

FIND = {"query": {"search": "{{ serial }}"}, "match": {"inventory_number": "{{ serial }}"}}
SHAPED = {"payload": {"inventory_number": "{{ serial }}", "notes": "{{ text }}"}}


def finding(**find):
    return publisher(transform=SHAPED, find=FIND | find)


def assets(halo, serial="SN-1"):
    return [row for row in halo.store.rows("asset") if row.get("inventory_number") == serial]


LEFT_OPEN = [
    *(Fault(does, "POST", "/Asset", executed=executed) for does in (FaultKind.RESET, FaultKind.CLOSE) for executed in (True, False)),
    *(Fault(FaultKind.ANSWER, "POST", "/Asset", status=status, executed=executed) for status in (500, 502, 503, 504) for executed in (True, False)),
    Fault(FaultKind.HTML, "POST", "/Asset", executed=True),
    Fault(FaultKind.DELAY, "POST", "/Asset", executed=True, seconds=3),
]


@pytest.mark.parametrize("fault", every_nth(5, LEFT_OPEN), ids=lambda fault: f"{fault.does}-{fault.status}-{'executed' if fault.executed else 'not'}")
async def test_whatever_halo_leaves_open_ends_in_one_record_when_it_can_be_found(memory_job, halos, fault):
    halo = await halos()
    halo.fault(fault)
    running = await memory_job.start(routes(halo, publishers={"erp": finding()}, timeout="1s"))
    await memory_job.other.send({"serial": "SN-1", "text": "hello"})
    await running.settled("erp", "done")
    assert len(assets(halo)) == 1
    assert await memory_job.other.depth("assets.dead") == 0


async def test_a_create_whose_answer_is_cut_has_happened_and_is_not_repeated(memory_job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.CUT, "POST", "/Asset"))
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED)}))
    await memory_job.other.send({"serial": "SN-1", "text": "hello"})
    await running.settled("erp", "done")
    assert len(assets(halo)) == len(halo.journal.received("POST", "/Asset")) == 1


async def test_without_a_doubt_nothing_is_looked_up(memory_job, halos):
    halo = await halos()
    running = await memory_job.start(routes(halo, publishers={"erp": finding()}))
    await memory_job.other.send({"serial": "SN-1", "text": "hello"})
    await running.settled("erp", "done")
    assert halo.journal.received("GET", "/Asset") == []


@pytest.mark.parametrize(("then", "text"), [("update", "second"), ("skip", "first")])
async def test_a_route_that_always_looks_updates_or_leaves_what_it_finds(job, halos, then, text):
    halo = await halos()
    running = await job.start(routes(halo, publishers={"erp": finding(use="always", then=then)}))
    await job.other.send({"serial": "SN-1", "text": "first"})
    await running.settled("erp", "done")
    await job.other.send({"serial": "SN-1", "text": "second"})
    await running.settled("erp", "done", 2)
    assert [row["notes"] for row in assets(halo)] == [text]
    assert len(halo.journal.received("GET", "/Asset")) == 2
    assert len(halo.journal.executed("POST", "/Asset")) == (2 if then == "update" else 1)


@pytest.mark.parametrize(("then", "text", "posts"), [("update", "again", 2), ("skip", "mine", 1)])
async def test_after_a_doubtful_create_the_record_is_updated_or_left_as_the_route_says(memory_job, halos, then, text, posts):
    halo = await halos()

    def edit(received):
        if received.method == "GET" and received.path == "/api/Asset":
            halo.store.update("asset", assets(halo)[0]["id"], {"notes": "mine"})

    halo.on_request(edit)
    halo.fault(Fault(FaultKind.RESET, "POST", "/Asset", executed=True))
    running = await memory_job.start(routes(halo, publishers={"erp": finding(then=then)}))
    await memory_job.other.send({"serial": "SN-1", "text": "again"})
    await running.settled("erp", "done")
    assert [row["notes"] for row in assets(halo)] == [text]
    assert len(halo.journal.executed("POST", "/Asset")) == posts


async def test_two_records_that_match_are_in_doubt_and_no_third_is_made(memory_job, halos):
    halo = await halos()
    for _ in range(2):
        halo.store.create("asset", {"inventory_number": "SN-1"})
    running = await memory_job.start(routes(halo, publishers={"erp": finding(use="always")}))
    await memory_job.other.send({"serial": "SN-1", "text": "x"})
    letter = await memory_job.other.take("assets.dead")
    assert letter.headers["dead-class"] == "in_doubt"
    assert "2 records match" in letter.headers["dead-reason"]
    assert len(assets(halo)) == 2
    assert running.messages("erp", "dead_in_doubt") == 1


async def test_a_lookup_that_fails_writes_nothing_and_is_made_again(memory_job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "GET", "/Asset", times=1, status=500))
    running = await memory_job.start(routes(halo, publishers={"erp": finding(use="always")}))
    await memory_job.other.send({"serial": "SN-1", "text": "x"})
    await running.settled("erp", "done")
    assert running.messages("erp", "retried") == 1
    assert len(assets(halo)) == 1


async def test_a_route_that_says_repeat_does_a_doubtful_create_again(memory_job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.RESET, "POST", "/Asset", executed=True))
    running = await memory_job.start(routes(halo, publishers={"erp": publisher(transform=SHAPED, in_doubt="repeat")}))
    await memory_job.other.send({"serial": "SN-1", "text": "x"})
    await running.settled("erp", "done")
    assert len(assets(halo)) == 2


async def test_an_update_or_a_deletion_of_unknown_fate_is_simply_made_again(memory_job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.RESET, "POST", "/Asset", executed=True))
    halo.fault(Fault(FaultKind.RESET, "DELETE", "/Asset/*", executed=True))
    publishers = {"erp": publisher(), "gone": publisher(queue="gone", entity="Asset/{id}", method="DELETE")}
    running = await memory_job.start(routes(halo, publishers=publishers))
    await memory_job.other.send({"payload": {"id": 5, "notes": "x"}})
    await memory_job.other.send({"path": {"id": 6}}, "gone")
    await running.settled("erp", "done")
    await running.settled("gone", "done")
    assert halo.store.get("asset", 5)["notes"] == "x"
    assert halo.store.get("asset", 6) is None
