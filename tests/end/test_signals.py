"""SIGTERM at any moment: what is in hand comes to its end or goes back whole, and the worker ends with 0 within its grace time."""

from __future__ import annotations

import signal

from tests.tools.job import EVENTS, listening, publisher, routes, subscriber
from tests.tools.proxy import through_proxy
from tests.tools.waiting import soon, until
from worker.core.topology import state_queue, wait_queue
from worker.sandbox.faults import Fault, FaultKind

GRACE = 5.0
FIND = {"query": {"search": "{{ payload.inventory_number }}"}, "match": {"inventory_number": "{{ payload.inventory_number }}"}}


async def stopped_in_time(worker):
    """Ask it to end; its exit code, which is 1 where it was cut off at the end of its grace time."""
    code = await worker.stop()
    assert worker.log("worker.stopped"), worker.text()[-2000:]
    return code


async def test_an_idle_worker_ends_at_once_and_says_ready_alive_and_metrics_until_then(halos, stage, other):
    halo = await halos(tickets=3)
    worker = await stage.start(routes(halo, subscribers={"tickets": subscriber(every="1h")}, publishers={"erp": publisher()}), shutdown_grace=GRACE)
    await other.take_all(EVENTS, 3)
    assert await worker.get("/livez") == (200, '{"status":"ok"}\n')
    parts = await worker.parts()
    assert {name: part["ok"] for name, part in parts.items()} == dict.fromkeys(
        ["expressions", "broker", "topology", "client main", "publisher erp", "subscriber tickets", "retries"], True
    )
    assert parts["publisher erp"]["detail"] == "consuming"
    status, metrics = await worker.get("/metrics")
    assert status == 200
    assert 'halo_worker_events_total{change="created",route="tickets"} 3.0' in metrics
    assert 'halo_worker_consuming{route="erp"} 1.0' in metrics
    assert await stopped_in_time(worker) == 0
    assert "Traceback" not in worker.text()
    await other.settles(wait_queue("tickets"), 1)


async def test_a_post_in_hand_is_finished_and_its_message_is_gone(halos, stage, other):
    halo = await halos()
    delayed = halo.fault(Fault(FaultKind.DELAY, "POST", "/Asset", seconds=1.5, executed=True))
    worker = await stage.start(routes(halo, publishers={"erp": publisher(concurrency=1)}), shutdown_grace=GRACE)
    for number in range(3):
        await other.send({"payload": {"inventory_number": f"SN-{number}"}})
    await soon(delayed.arrived.wait())
    assert await stopped_in_time(worker) == 0
    assert len(halo.journal.received("POST", "/Asset")) == 1
    assert await other.depth("assets") == 2
    assert await other.depth("assets.dead") == 0
    again = await stage.start(name="again")

    async def all_done():
        return len(halo.journal.created("/Asset")) == 3 and await other.depth("assets") == 0

    await until(all_done)
    assert await again.stop() == 0
    assert await other.depth("assets.dead") == 0


async def test_a_post_that_outlasts_the_grace_time_is_cut_off_and_looked_up_by_the_next_worker(halos, stage, other):
    halo = await halos()
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", executed=True))
    worker = await stage.start(routes(halo, publishers={"erp": publisher(find=FIND)}), shutdown_grace=1)
    await other.send({"payload": {"inventory_number": "SN-1"}})
    await soon(held.arrived.wait())
    assert await worker.stop() == 1
    assert worker.log("worker.cut_off")
    await other.settles("assets", 1)
    halo.faults.clear()
    again = await stage.start(name="again")
    await again.logged("message.done")
    assert len(halo.journal.created("/Asset")) == 1


async def test_messages_that_wait_for_their_turn_go_back_as_not_sent(halos, stage, other):
    halo = await halos()
    definition = routes(halo, publishers={"erp": publisher(concurrency=8)}, rate_limit="3/1h")
    worker = await stage.start(definition, shutdown_grace=GRACE)
    for number in range(8):
        await other.send({"payload": {"inventory_number": f"SN-{number}"}})
    await until(lambda: all_taken(worker, halo, 8))
    assert await stopped_in_time(worker) == 0
    created = len(halo.journal.created("/Asset"))
    assert created <= 3
    await other.settles("assets", 8 - created)
    letters = await other.drain("assets")
    assert {letter.headers.get("halo-doubtful") for letter in letters} == {False}
    assert {letter.headers.get("halo-attempts") for letter in letters} == {0}
    assert await other.depth("assets.dead") == 0


async def all_taken(worker, halo, count):
    waiting = count - len(halo.journal.created("/Asset"))
    return await worker.metric("messages_in_hand", route="erp") == waiting


async def test_a_poll_in_its_middle_is_left_where_it_is_and_goes_on_later(halos, stage, broker, other):
    halo = await halos(tickets=250)
    halo.fault(Fault(FaultKind.DELAY, "GET", "/Tickets", nth=2, times=1, seconds=1))
    async with listening(broker) as listener:
        worker = await stage.start(routes(halo, subscribers={"tickets": subscriber()}), ready=False, shutdown_grace=GRACE)
        await until(lambda: requested(halo, 2))
        assert await stopped_in_time(worker) == 0
        await until(lambda: rests(other, "tickets"))
        await stage.start(name="again")
        await listener.hears(250)
        assert listener.ids == set(range(1, 251))
        assert len(listener.letters) == len(listener.keys) == 250


async def requested(halo, pages):
    return len(halo.journal.received("GET", "/Tickets")) >= pages


async def rests(other, route):
    """Whether the baton is in the broker's hands."""
    return await other.depth(wait_queue(route)) + await other.depth(state_queue(route)) == 1


async def test_in_an_outage_of_the_broker_it_ends_in_time_and_the_post_in_hand_is_not_doubled(halos, stage, amqp_url, other):
    halo = await halos()
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", executed=True))
    async with through_proxy(amqp_url) as (proxied, proxy):
        worker = await stage.start(routes(halo, publishers={"erp": publisher(find=FIND)}), amqp_url=proxied, shutdown_grace=GRACE)
        await other.send({"payload": {"inventory_number": "SN-1"}})
        await soon(held.arrived.wait())
        proxy.refusing = True
        proxy.reset()
        await worker.logged("broker.lost")
        worker.signal(signal.SIGTERM)
        await worker.logged("worker.stopping")
        halo.faults.clear()
        assert await worker.ended() == 0
    await stage.start(name="again")

    async def settled():
        return await other.depth("assets") == 0 and len(halo.journal.received("GET", "/Asset")) == 1

    await until(settled)
    assert len(halo.journal.created("/Asset")) == 1


async def test_while_the_broker_is_away_it_ends_at_once(halos, stage, amqp_url):
    halo = await halos(tickets=3)
    async with through_proxy(amqp_url) as (proxied, proxy):
        worker = await stage.start(routes(halo, subscribers={"tickets": subscriber()}), amqp_url=proxied, shutdown_grace=GRACE)
        proxy.refusing = True
        proxy.reset()
        await worker.logged("broker.unreachable")
        assert await stopped_in_time(worker) == 0


async def test_a_second_signal_ends_it_at_once(halos, stage, other):
    halo = await halos()
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset"))
    worker = await stage.start(routes(halo, publishers={"erp": publisher()}), shutdown_grace=3600)
    await other.send({"payload": {"inventory_number": "SN-1"}})
    await soon(held.arrived.wait())
    worker.signal(signal.SIGTERM)
    await worker.logged("worker.stopping")
    assert worker.running
    worker.signal(signal.SIGINT)
    assert await worker.ended() == 1
    await other.settles("assets", 1)


async def test_readiness_says_consuming_only_while_messages_are_really_taken(halos, stage, other):
    halo = await halos()
    worker = await stage.start(routes(halo, publishers={"erp": publisher()}))
    assert (await worker.parts())["publisher erp"] == {"ok": True, "detail": "consuming"}
    halo.fault(Fault(FaultKind.ANSWER, "*", "/api/*", times=None, status=503))
    await other.send({"payload": {"id": 5, "inventory_number": "SN-1"}})
    await worker.unready()

    async def paused():
        parts = await worker.parts()
        return parts["publisher erp"]["detail"] != "consuming" and not parts["client main"]["ok"]

    await until(paused)
    assert 'halo_worker_consuming{route="erp"} 0.0' in (await worker.get("/metrics"))[1]
    await other.settles("assets", 1)
    halo.faults.clear()
    await worker.ready()
    await worker.logged("message.done")
