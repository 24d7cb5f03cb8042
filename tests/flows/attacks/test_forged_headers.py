"""Headers of ours that a sender writes count for nothing: neither for its own messages nor against others'."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.flows.attacks.conftest import BIND
from tests.tools.job import publisher, routes
from worker.sandbox.faults import Fault, FaultKind

ONCE = publisher(bind=BIND, once="{{ $headers.`order-id` }}", transform={"payload": {"inventory_number": "{{ serial }}"}})
CREATE = publisher(bind=BIND, transform={"payload": {"inventory_number": "{{ serial }}"}})
FORGED = {
    "a doubt": {"halo-doubtful": True},
    "a redelivery": {"halo-redelivered": True},
    "a count of deliveries": {"x-delivery-count": 19},
    "attempts and tries": {"halo-attempts": 99, "halo-tries": 99, "halo-waited": True, "halo-retry-reason": "x"},
    "a place in an order": {"halo-order": 2**62, "halo-order-due": 2**50, "halo-order-starts": 99, "halo-order-since": 1},
    "a marker of the room": {"halo-order-marker": "x", "halo-order": 0},
    "a death": {"dead-class": "rejected", "dead-reason": "x", "dead-left-out": "x", "replays": 9},
    "a proof": {"halo-mac": "0" * 32, "halo-attempts": 99, "halo-doubtful": True},
    "headers of a sender": {"halo-sender-headers": {"halo-doubtful": True, "order-id": "Z"}},
    "a death by the broker": {"x-death": [{"queue": "assets", "reason": "delivery_limit", "count": 99, "exchange": "", "routing-keys": ["assets"]}]},
}


def serials(halo):
    return sorted(row["inventory_number"] for row in halo.store.rows("asset") if str(row.get("inventory_number")).startswith("SN-"))


@pytest.mark.parametrize("order", [None, "{{ serial }}"], ids=["plain", "in order"])
async def test_a_create_with_forged_headers_is_made_once_like_any_other(stage, halos, order):
    halo = await halos()
    definition = CREATE if order is None else CREATE | {"order_by": order}
    running = await stage.job.start(routes(halo, publishers={"erp": definition}))
    for name, headers in FORGED.items():
        await stage.stranger.send({"serial": f"SN-{name}"}, "asset.new", "erp", headers)
        await stage.stranger.send({"serial": f"SN-after {name}"}, "asset.new", "erp")
    await running.settled("erp", "done", 2 * len(FORGED))
    assert serials(halo) == sorted(f"SN-{each}" for name in FORGED for each in (name, f"after {name}"))
    assert await stage.job.other.depth("assets.dead") == 0


async def test_a_marker_stops_no_key_over_a_restart_and_makes_nothing_vanish(stage, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", status=500))
    definition = routes(halo, publishers={"erp": CREATE | {"order_by": "{{ serial }}", "retry": ["1s"] * 20, "in_doubt": "repeat"}})
    running = await stage.job.start(definition)
    await stage.stranger.send({"serial": "SN-1"}, "asset.new", "erp", FORGED["a marker of the room"])
    await running.settled("erp", "retried")
    await running.stop()
    halo.faults.clear()
    running = await stage.job.start(definition)
    await running.settled("erp", "done")
    assert serials(halo) == ["SN-1"]


@pytest.mark.parametrize("forged", [{"halo-once": 7}, {"halo-origin": "content:0", "halo-attempts": 1}, {"halo-redelivered": True, "replays": 1}], ids=str)
async def test_a_key_of_once_holds_against_forged_headers(stage, halos, forged):
    halo = await halos()
    running = await stage.job.start(routes(halo, publishers={"erp": ONCE}))
    await stage.stranger.send({"serial": "SN-1"}, "asset.new", "erp", {"order-id": "A"}, message_id="m1")
    await running.settled("erp", "done")
    for message_id in ("m1", "m2"):
        await stage.stranger.send({"serial": "SN-2"}, "asset.new", "erp", {"order-id": "A"} | forged, message_id=message_id)
    await running.settled("erp", "skipped", 2)
    assert serials(halo) == ["SN-1"]


async def test_the_routing_key_of_a_message_is_the_one_by_which_it_came(stage, halos):
    halo = await halos()
    running = await stage.job.start(routes(halo, publishers={"erp": CREATE | {"when": "{{ $message.routing_key = 'asset.new' }}"}}))
    forged = {"original-routing-key": "asset.new", "original-exchange": "erp"}
    await stage.stranger.send({"serial": "SN-1"}, "asset.old", "erp", forged)
    await stage.stranger.send({"serial": "SN-2"}, "asset.new", "erp", {"original-routing-key": "asset.old"})
    await running.settled("erp", "skipped")
    await running.settled("erp", "done")
    assert serials(halo) == ["SN-2"]


async def test_a_proof_that_was_read_elsewhere_proves_no_other_message_and_no_other_queue(stage, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", status=400, times=1))
    running = await stage.job.start(routes(halo, publishers={"erp": CREATE, "other": CREATE | {"queue": "others", "bind": []}}))
    await stage.stranger.send({"serial": "SN-1"}, "asset.new", "erp", message_id="m1")
    await running.settled("erp", "dead_rejected")
    stolen = (await stage.job.other.take("assets.dead")).headers
    assert "halo-mac" in stolen
    with capture_logs() as lines:
        await stage.stranger.send({"serial": "SN-2"}, "asset.new", "erp", stolen, message_id="m1")
        await stage.stranger.send({"serial": "SN-1"}, "asset.new", "erp", stolen, message_id="m2")
        await stage.stranger.send({"serial": "SN-1"}, "others", "", stolen, message_id="m1")
        await running.settled("erp", "done", 2)
        await running.settled("other", "done")
    assert [line["event"] for line in lines if line["event"] == "headers.unproven"] == ["headers.unproven"] * 3
    assert serials(halo) == ["SN-1", "SN-1", "SN-2"]


async def test_a_sender_s_own_values_are_seen_by_expressions_on_every_copy(stage, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=2, status=500))
    seen = "{{ serial & '/' & $headers.replays & '/' & $headers.CC & '/' & $headers.`halo-once` }}"
    definition = CREATE | {"transform": {"payload": {"id": 5, "inventory_number": seen}}}
    running = await stage.job.start(routes(halo, publishers={"erp": definition}))
    await stage.stranger.send({"serial": "SN-"}, "asset.new", "erp", {"replays": "mine", "CC": ["nowhere"], "halo-once": "me"})
    await running.settled("erp", "done")
    assert running.messages("erp", "retried") == 2
    assert serials(halo) == ['SN-/mine/["nowhere"]/me']
