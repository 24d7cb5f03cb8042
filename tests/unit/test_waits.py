"""What waits for long says what for, once for each message, and is counted as long as it waits."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from structlog.testing import capture_logs

from worker.metrics import Metrics, values_of
from worker.waits import WorkScope, waiting_for


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr("worker.waits.LOG_AFTER", 0.0)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_long_wait_is_told_once_for_a_message_and_counted_while_it_lasts(soon):
    metrics = Metrics()
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logged, structlog.contextvars.bound_contextvars(correlation_id="c-1"):
        with WorkScope("erp", metrics):
            for _ in range(3):
                with waiting_for("budget", "the request budget of client main"):
                    await turns()
                    assert values_of(metrics.waiting) == {("erp", "budget"): 1}
        assert values_of(metrics.waiting) == {("erp", "budget"): 0}
    assert [(line["event"], line["waits_for"], line["correlation_id"]) for line in logged] == [("message.waiting", "the request budget of client main", "c-1")]


async def test_two_messages_that_wait_are_told_twice(soon):
    with capture_logs() as logged:
        for _ in range(2):
            with WorkScope("erp", Metrics()), waiting_for("claim"):
                await turns()
    assert len(logged) == 2


async def test_a_short_wait_is_not_told():
    metrics = Metrics()
    with capture_logs() as logged, WorkScope("erp", metrics), waiting_for("budget"):
        await turns()
    assert (logged, values_of(metrics.waiting)) == ([], {})


async def test_short_waits_of_one_poll_count_together(monkeypatch):
    metrics, loop = Metrics(), asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    with capture_logs() as logged, WorkScope("tickets", metrics):
        for _ in range(6):
            with waiting_for("budget", "the request budget of client main"):
                await turns()
                now += 1.0
        with waiting_for("budget", "the request budget of client main"):
            await turns()
            assert values_of(metrics.waiting) == {("tickets", "budget"): 1}
    assert [line["waits_for"] for line in logged] == ["the request budget of client main"]
