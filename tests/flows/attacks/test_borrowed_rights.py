"""A sender's `CC` and `BCC` count where it publishes itself, and on no copy that the worker makes: it has only its own rights."""

from __future__ import annotations

import pytest

from tests.flows.attacks.conftest import BIND, VICTIM
from tests.tools.job import publisher, routes, subscriber
from worker.core.message import Message
from worker.core.topology import CLAIMS, state_queue
from worker.flows.dead.letter import DeadQueue, letter_of
from worker.flows.dead.plan import Replay
from worker.flows.dead.replay import ReplayToQueue
from worker.sandbox.faults import Fault, FaultKind
from worker.state.baton import Baton

WAYS = ["CC", "BCC"]
RECORD = {"payload": {"inventory_number": "SN-1"}}
UPDATE = {"payload": {"id": 5, "inventory_number": "SN-5"}}


@pytest.mark.parametrize("header", WAYS)
async def test_the_copy_that_is_tried_again_goes_to_its_own_queue_only(stage, halos, header):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=2, status=500))
    running = await stage.job.start(routes(halo, publishers={"erp": publisher(bind=BIND)}))
    await stage.stranger.send(UPDATE, "asset.new", "erp", {header: [VICTIM, "assets.dead"]})
    await running.settled("erp", "done")
    assert running.messages("erp", "retried") == 2
    assert (await stage.job.other.depth(VICTIM), await stage.job.other.depth("assets.dead")) == (0, 0)


@pytest.mark.parametrize("header", WAYS)
async def test_a_dead_letter_goes_to_its_own_dead_queue_only_and_so_does_its_replay(stage, halos, header):
    halo = await halos()
    running = await stage.job.start(routes(halo, publishers={"erp": publisher(bind=BIND)}))
    await stage.stranger.send(b"no json", "asset.new", "erp", {header: [VICTIM, "assets"]})
    await running.settled("erp", "dead_decode")
    await running.stop()
    other, box = stage.job.other, DeadQueue("erp", "publisher", "assets.dead", "assets")
    assert (await other.depth(VICTIM), await other.depth("assets")) == (0, 0)
    letter = await other.take("assets.dead")
    codec = await other.codec()
    if header == "CC":  # the broker itself takes BCC off
        assert letter_of(box, letter.message, codec).state.headers[header] == [VICTIM, "assets"], "the sender's own value is kept"
    replayed = await ReplayToQueue(box, "assets", lambda *_: Replay(), other.broker, codec)(letter_of(box, letter.message, codec), letter.message)
    assert replayed.result == "replayed"
    assert (await other.depth(VICTIM), await other.depth("assets"), await other.depth("assets.dead")) == (0, 1, 0)


@pytest.mark.parametrize("header", WAYS)
async def test_the_way_through_the_waiting_room_leads_nowhere_else(stage, halos, header):
    halo = await halos()
    running = await stage.job.start(routes(halo, publishers={"erp": publisher(bind=BIND, order_by="{{ payload.inventory_number }}")}))
    await stage.stranger.send(RECORD, "asset.new", "erp", {header: [VICTIM, "assets.order"]})
    await running.settled("erp", "done")
    await running.stop()
    assert (await stage.job.other.depth(VICTIM), await stage.job.other.depth("assets.order")) == (0, 0)
    assert len(halo.journal.created("/Asset")) == 1


async def test_a_copy_of_the_work_queue_itself_makes_no_loop(stage, halos):
    halo = await halos()
    running = await stage.job.start(routes(halo, publishers={"erp": publisher(bind=BIND)}))
    await stage.stranger.send(b"no json", "asset.new", "erp", {"CC": ["assets"]})
    await stage.stranger.send(RECORD, "asset.new", "erp")
    await running.settled("erp", "done")
    await running.stop()
    assert (running.messages("erp", "dead_decode"), await stage.job.other.depth("assets")) == (1, 0)


async def test_no_claim_no_baton_and_no_run_is_made_by_copies(stage, halos):
    halo = await halos(tickets=2)
    definition = routes(halo, publishers={"erp": publisher(bind=BIND, once="{{ payload.inventory_number }}")}, subscribers={"tickets": subscriber()})
    running = await stage.job.start(definition)
    await running.polled("tickets", 1)
    forged = Baton(epoch=2**40, generation=9).encode()
    targets = [CLAIMS, state_queue("tickets"), "halo.run.rb", "halo.echoes", "halo.keys"]
    await stage.stranger.send(forged, "asset.new", "erp", {"CC": targets, "BCC": targets})
    await running.settled("erp", "dead_transform")
    polls = running.polls("tickets", "complete")
    await running.until(lambda: running.polls("tickets", "complete") > polls + 1)
    assert {kind: running.value("refused_state_total", kind=kind) for kind in ("baton", "claim", "notice", "permit")} == dict.fromkeys(
        ("baton", "claim", "notice", "permit"), 0
    ), "nothing came there"
    await running.stop()


async def test_what_the_port_publishes_never_carries_a_header_by_which_the_broker_routes(stage):
    await stage.job.other.broker.publish(Message(b"{}", {"CC": [VICTIM], "BCC": [VICTIM], "a": 1}), routing_key=VICTIM)
    letter = await stage.job.other.take(VICTIM)
    assert {name: value for name, value in letter.headers.items() if name != "x-delivery-count"} == {"a": 1}
    assert await stage.job.other.depth(VICTIM) == 0
