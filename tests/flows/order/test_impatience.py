"""A broker that takes back what is not acknowledged in time, and one that is killed: the order is kept."""

from __future__ import annotations

import asyncio

import pytest

from tests.flows.job.conftest import on_stage
from tests.flows.order.conftest import Stuck, applied, ordered, send_steps
from tests.tools.job import routes
from worker.flows.ordered.waiting_queue import WaitingQueue

STUCK = 9


@pytest.fixture
def impatient(rabbitmq):
    """RabbitMQ waits for acks for a second instead of 30 minutes, until this is called."""

    def set_to(tick, timeout):
        rabbitmq.ctl("eval", f"application:set_env(rabbit,channel_tick_interval,{tick}), application:set_env(rabbit,consumer_timeout,{timeout}).")

    def patient():
        set_to(60_000, 1_800_000)

    set_to(300, 1000)
    yield patient
    patient()


async def test_what_waits_longer_than_the_broker_does_is_loaded_again_and_keeps_its_order(impatient, amqp_url, tmp_path, halos, monkeypatch):
    loads, load = [], WaitingQueue.load
    monkeypatch.setattr(WaitingQueue, "load", lambda room: loads.append(room) or load(room))
    async with on_stage(tmp_path, amqp_url, None) as job:
        halo = await halos()
        stuck = Stuck(halo, STUCK)
        running = await job.start(routes(halo, publishers={"erp": ordered(retry=["2s"] * 20)}))
        await send_steps(job, [STUCK], range(20))
        await running.until(lambda: stuck.refused >= 1)
        await running.until(lambda: len(loads) >= 3)
        impatient()  # a busy machine may take longer than a second for what comes
        await send_steps(job, [1], range(5))
        stuck.free = True
        await running.until(lambda: [applied(halo).get(key, [0])[-1] for key in (STUCK, 1)] == [19, 4])
        assert applied(halo) == {STUCK: list(range(20)), 1: list(range(5))}
        assert len(halo.journal.executed("POST", "/Asset")) == 25
        await running.stop()


@pytest.mark.long
async def test_a_broker_that_is_killed_costs_neither_messages_nor_order(rabbitmq, amqp_url, tmp_path, halos):
    async with on_stage(tmp_path, amqp_url, None) as job:
        halo = await halos(create_seconds=0)
        stuck = Stuck(halo, 4)
        running = await job.start(routes(halo, publishers={"erp": ordered(concurrency=3, retry=["5s"] * 20)}, timeout="1s"))
        await send_steps(job, [1, 2, 3, 4], range(40))
        await running.settled("erp", "done", 30)
        await asyncio.to_thread(rabbitmq.kill)
        await running.until(lambda: running.value("consuming", route="erp") == 0)
        await asyncio.to_thread(rabbitmq.start)
        await running.until(lambda: running.value("consuming", route="erp") == 1)
        stuck.free = True  # its retries last longer than the broker is away
        await running.until(lambda: all(applied(halo).get(key, [0])[-1] == 39 for key in (1, 2, 3, 4)))
        assert applied(halo) == {key: list(range(40)) for key in (1, 2, 3, 4)}
        await running.until(lambda: running.value("ordered_waiting", route="erp") == 0)
        await running.stop()
