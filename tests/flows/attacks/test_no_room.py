"""A message can always be settled: where its own headers leave no room for ours, the letter carries ours and says what was left out."""

from __future__ import annotations

import pytest

from tests.flows.attacks.conftest import BIND
from tests.tools.job import publisher, routes
from tests.tools.sizes import every_nth
from worker.sandbox.faults import Fault, FaultKind

RECORD = {"payload": {"inventory_number": "SN-1"}}
FULL = {f"h{number}": "x" * 1000 for number in range(118)}  # what AMQP carries just so; the worker's own do not fit beside them
HUGE = {f"h{number}": "x" * 1000 for number in range(124)}
MANY = {f"header-{number:06}-{chr(120) * 33}": "y" * 10 for number in range(1_950)}


@pytest.mark.parametrize("headers", every_nth(2, [FULL, HUGE, MANY, {"one": "x" * 124_000}]), ids=["full", "huge", "many", "one"])
@pytest.mark.parametrize("order", [None, "{{ a }}"], ids=["plain", "in order"])
async def test_a_letter_without_room_is_buried_with_its_reason_and_the_route_goes_on(stage, halos, headers, order):
    halo = await halos()
    definition = publisher(bind=BIND) if order is None else publisher(bind=BIND, order_by=order)
    running = await stage.job.start(routes(halo, publishers={"erp": definition | {"concurrency": 1}}))
    for _ in range(4):
        await stage.stranger.send(b"no json", "asset.new", "erp", headers)
    await stage.stranger.send(RECORD | {"payload": {"id": 3, "inventory_number": "x"}}, "asset.new", "erp")
    if order is not None:
        await stage.job.other.settles("assets.dead", 5)  # the last one has no key
    else:
        await running.settled("erp", "done")
    letters = await stage.job.other.drain("assets.dead")
    shortened = [letter for letter in letters if letter.headers.get("dead-left-out")]
    assert {letter.headers["dead-class"] for letter in letters} <= {"decode", "transform"}
    assert [letter.message.body for letter in letters[:4]] == [b"no json"] * 4
    for letter in shortened:
        assert f"{len(headers)} headers of the sender" in letter.headers["dead-left-out"]
    if headers is not FULL:
        assert len(shortened) == 4
    assert running.service.health.ready


async def test_what_cannot_be_tried_again_for_want_of_room_is_buried_and_says_so(stage, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=1, status=429, headers=(("Retry-After", "1"),)))
    running = await stage.job.start(routes(halo, publishers={"erp": publisher(bind=BIND)}))
    await stage.stranger.send(RECORD, "asset.new", "erp", HUGE)
    await running.settled("erp", "dead_decode")
    letter = await stage.job.other.take("assets.dead")
    assert "cannot be tried again" in letter.headers["dead-reason"]
    assert letter.body == RECORD
    await stage.stranger.send(RECORD, "asset.new", "erp")
    await running.settled("erp", "done")
