"""Customers take turns on one route, whatever number of messages each of them has."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.flows.job.conftest import Job
from tests.flows.order.conftest import applied, lose_connections, ordered, send_steps
from tests.tools.job import publisher, routes
from worker.flows.ordered import consumer, waiting_report
from worker.flows.ordered.intake import INTAKE_PREFETCH
from worker.flows.ordered.waiting_report import name_of
from worker.sandbox.faults import Fault, FaultKind
from worker.sandbox.simulated_halo import SimulatedHalo

FLOOD = 60
NAME = "{{ (customer ? customer : '') & '-' & number }}"
FIND = {"query": {"search": NAME}, "match": {"inventory_number": NAME}, "then": "skip"}  # on a busy machine Halo may not answer in time


def fair(**more: Any) -> dict[str, Any]:
    """Creates of assets in turns by customer; the messages are `{customer, number}`."""
    return publisher(**({"fair_by": "{{ customer }}", "transform": {"payload": {"inventory_number": NAME}}} | more))


async def send(job: Job, customer: str | None, count: int) -> None:
    named = {} if customer is None else {"customer": customer}
    await asyncio.gather(*(job.other.send(named | {"number": number}) for number in range(count)))


def customers(halo: SimulatedHalo) -> list[str]:
    """Whose messages Halo carried out, in its order."""
    return [record["inventory_number"].partition("-")[0] for entry in halo.journal.executed("POST", "/Asset") for record in entry.body]


async def test_a_customer_whose_requests_hang_leaves_a_place_to_the_others(job, halos):
    halo = await halos(create_seconds=0)
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", times=2))
    running = await job.start(routes(halo, publishers={"erp": fair(concurrency=3)}))
    await send(job, "flood", FLOOD)
    await running.until(lambda: running.value("ordered_waiting", route="erp") == FLOOD and held.struck == 2)
    await send(job, "single", 1)
    await running.settled("erp", "done", 1)
    assert customers(halo) == ["single"]
    halo.faults.remove(held.number)
    await running.settled("erp", "done", FLOOD + 1)
    assert customers(halo).count("flood") == FLOOD
    await running.stop()
    assert await job.other.depth("assets.order") == await job.other.depth("assets.dead") == 0


async def test_the_places_go_round_the_customers(job, halos):
    halo = await halos(create_seconds=0)
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", times=1))
    running = await job.start(routes(halo, publishers={"erp": fair(concurrency=1)}))
    await send(job, "a", FLOOD)
    await held.arrived.wait()
    await send(job, "b", 3)
    await running.until(lambda: running.value("ordered_waiting", route="erp") == FLOOD + 3)
    await send(job, "c", 2)
    await running.until(lambda: running.value("customers_waiting", route="erp") == 3)
    await running.until(lambda: running.value("ordered_waiting", route="erp") == FLOOD + 5)
    halo.faults.remove(held.number)
    await running.settled("erp", "done", FLOOD + 5)
    assert customers(halo)[:9] == ["a", "b", "c", "a", "b", "c", "a", "b", "a"]
    await running.until(lambda: running.value("customers_waiting", route="erp") == 0)


async def test_messages_that_name_no_customer_share_one_turn(memory_job, halos):
    halo = await halos(create_seconds=0)
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", times=1))
    running = await memory_job.start(routes(halo, publishers={"erp": fair(concurrency=1)}))
    await send(memory_job, None, 20)
    await held.arrived.wait()
    await send(memory_job, "named", 3)
    await running.until(lambda: running.value("ordered_waiting", route="erp") == 23)
    halo.faults.remove(held.number)
    await running.settled("erp", "done", 23)
    assert customers(halo)[:6] == ["", "named", "", "named", "", "named"]


async def test_an_expression_that_fails_buries_its_message_and_stops_nothing(memory_job, halos):
    halo = await halos(create_seconds=0)
    running = await memory_job.start(routes(halo, publishers={"erp": fair(fair_by="{{ $number(customer) }}")}))
    await send(memory_job, "none", 1)
    await send(memory_job, "7", 2)
    await running.settled("erp", "done", 2)
    letter = await memory_job.other.take("assets.dead")
    assert letter.headers["dead-class"] == "transform"
    assert letter.headers["dead-reason"].startswith("the expression at routes/routes.yaml:")
    assert "none" not in letter.headers["dead-reason"]


async def test_the_order_of_a_key_is_kept_within_the_turns(job, halos):
    halo = await halos()
    halo.fault(Fault(FaultKind.ANSWER, "POST", "/Asset", times=None, status=500, probability=0.15, seed=1))
    definition = ordered(concurrency=4, retry=["20ms"] * 20, fair_by="{{ $string(id % 2) }}")
    running = await job.start(routes(halo, publishers={"erp": definition}))
    await send_steps(job, [1, 2, 3, 4], range(20))
    await running.settled("erp", "done", 80)
    assert applied(halo) == {key: list(range(20)) for key in (1, 2, 3, 4)}
    assert running.service.health.parts["publisher erp"].detail == "consuming, in order by key and in turns by customer"
    await running.stop()


async def test_beyond_its_bound_the_flood_stays_in_the_queue_and_all_of_it_is_done(job, halos, monkeypatch):
    monkeypatch.setattr(consumer, "MAX_WAITING_BY_CUSTOMER", 50)
    halo = await halos(create_seconds=0)
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", times=3))
    running = await job.start(routes(halo, publishers={"erp": fair()}))
    await send(job, "flood", 300)
    await running.until(lambda: running.value("ordered_waiting", route="erp") >= 50)
    await job.other.settles("assets.order", 0)
    assert await job.other.depth("assets") >= 300 - 50 - 3 * 64
    halo.faults.remove(held.number)
    await running.settled("erp", "done", 300)
    await running.stop()
    assert len(customers(halo)) == 300


async def test_a_customer_that_fills_the_route_is_told_without_its_name(memory_job, halos, monkeypatch):
    monkeypatch.setattr(waiting_report, "MIN_MESSAGES", 10)
    monkeypatch.setattr(waiting_report, "DOMINANT_AFTER", 0.0)
    monkeypatch.setattr(consumer, "REPORT_INTERVAL", 0.01)
    halo = await halos(create_seconds=0)
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", times=None))
    with capture_logs() as lines:
        running = await memory_job.start(routes(halo, publishers={"erp": fair()}))
        await send(memory_job, "secretive", 30)
        await send(memory_job, "other", 2)
        await running.until(lambda: "32 waiting" in running.service.health.parts["publisher erp"].detail)
        detail = running.service.health.parts["publisher erp"].detail
        halo.faults.remove(held.number)
        await running.settled("erp", "done", 32)
        await running.until(lambda: running.service.health.parts["publisher erp"].detail == "consuming, in turns by customer")
    assert detail == f"one customer ({name_of('secretive')}) holds 30 of 32 waiting messages; customers that wait: 2"
    told = [line for line in lines if line["event"] == "customer.fills_route"]
    assert (len(told), told[0]["customer"], told[0]["route"]) == (1, name_of("secretive"), "erp")
    assert "customer.fills_no_more" in [line["event"] for line in lines]
    assert not [line for line in lines if "secretive" in str(line)]


@pytest.mark.parametrize("more", [{}, {"order_by": "{{ number }}"}])
async def test_connections_that_are_cut_during_a_flood_lose_nothing_and_double_nothing(job, halos, more):
    halo = await halos(create_seconds=0)
    halo.fault(Fault(FaultKind.DELAY, "POST", "/Asset", times=None, seconds=0.01))
    running = await job.start(routes(halo, publishers={"erp": fair(find=FIND, **more)}, timeout="1s"))
    for cut in range(2):
        await send(job, f"flood{cut}", FLOOD)
        await running.settled("erp", "done", cut * FLOOD + 10)
        await lose_connections(job, running)
    await send(job, "single", 1)
    await running.settled("erp", "done", 2 * FLOOD + 1)
    assert sorted(customers(halo)) == ["flood0"] * FLOOD + ["flood1"] * FLOOD + ["single"]
    assert await job.other.depth("assets.dead") == 0
    await running.stop()


@pytest.fixture
async def keeping(memory_job, halos, monkeypatch):
    """A route that reads at most 64 KiB, whose queue has no dead-letter target, and where five messages may wait. Halo answers nothing at first."""
    monkeypatch.setattr(consumer, "MAX_WAITING_BY_CUSTOMER", 5)
    await memory_job.other.declare("assets")
    halo = await halos(create_seconds=0)
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", times=None))
    return halo, held, partial(memory_job.start, routes(halo, publishers={"erp": fair(declare=False)}), ready=False, max_message=64 * 1024)


async def test_a_message_that_is_too_large_and_stays_in_hand_is_not_acknowledged_with_those_behind_it(memory_job, keeping):
    halo, held, start = keeping
    await send(memory_job, "before", INTAKE_PREFETCH + 10)
    await memory_job.other.send({"customer": "large", "pad": "x" * 100_000})
    await send(memory_job, "behind", 5)
    running = await start()
    await held.arrived.wait()
    await running.until(lambda: "is kept" in running.service.health.parts["publisher erp"].detail)
    halo.faults.remove(held.number)
    await running.settled("erp", "done", INTAKE_PREFETCH + 10)
    await running.stop()
    assert await memory_job.other.depth("assets") == 6
    assert set(customers(halo)) == {"before"}


async def test_a_worker_stops_at_once_while_a_message_that_is_too_large_stays_in_hand(memory_job, keeping):
    halo, held, start = keeping
    halo.faults.remove(held.number)
    await memory_job.other.send({"customer": "large", "pad": "x" * 100_000})
    await send(memory_job, "behind", 2)
    running = await start()
    await running.until(lambda: "is kept" in str(running.service.health.parts))
    await running.stop()
    assert await memory_job.other.depth("assets") == 3
