"""Runs of runbooks: their starts, one after the other in order of arrival, and their rows under /Automation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from worker.sandbox.runbooks.calls import CALL_SECONDS, IntegrationCalls
from worker.sandbox.runbooks.executor import RunbookExecutor, RunEnd
from worker.sandbox.simulated_halo import RunbookStart, SimulatedHalo
from worker.sandbox.store import RecordChange
from worker.sandbox.table import Row
from worker.sandbox.webhook_calls import runbook_events_of

RUNBOOK = 1
RUNNING_OR_FAILED, DONE = 1, 2


@asynccontextmanager
async def run_runbooks(halo: SimulatedHalo) -> AsyncIterator[None]:
    """Execute the starts of runbooks until the end of the block."""

    def notice(change: RecordChange) -> None:
        for runbook, body in runbook_events_of(halo.store, change, halo.clock()):
            start(halo, runbook, body)

    halo.store.on_change(notice)
    timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        running = asyncio.create_task(_carry_out(halo, IntegrationCalls(halo, session)))
        try:
            yield
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def start(halo: SimulatedHalo, runbook: Row, request: Any, given: Mapping[str, Any] | None = None) -> Row:
    """Record a run and queue its beginning; a runbook without steps is done at once. Return its row."""
    steps = runbook.get("steps")
    row = halo.store.create(
        "automation",
        {"runbook_id": runbook["id"], "runbook_name": runbook.get("name"), "status": RUNNING_OR_FAILED if steps else DONE, "date": halo.clock()},
    )
    if steps:
        halo.runs.put_nowait(RunbookStart(row["id"], runbook["id"], request, dict(given or {})))
    return row


async def _carry_out(halo: SimulatedHalo, calls: IntegrationCalls) -> None:
    while True:
        begun = await halo.runs.get()
        runbook = halo.store.get("webhook", begun.runbook)
        if runbook is None:
            end = RunEnd("The runbook was deleted")
        else:
            try:
                end = await RunbookExecutor(halo, calls, runbook).run(begun.request, begun.given)
            except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:  # a document that Halo would refuse to draw
                end = RunEnd(f"The document cannot be run: {type(error).__name__}")
        _record(halo, begun.run, end)
        if end.chained:
            _chain(halo, end)
        halo.runs.task_done()


def _record(halo: SimulatedHalo, run: int, end: RunEnd) -> None:
    status = RUNNING_OR_FAILED if end.error else DONE
    halo.store.update("automation", run, {"status": status, "error": end.error or None, "runbook_step": end.step, "steps_executed": end.executed})


def _chain(halo: SimulatedHalo, end: RunEnd) -> None:
    """Start the next runbook, unless it is missing or switched off."""
    target = halo.store.get("webhook", end.chained.lower())
    if target is not None and target.get("active") and target.get("type") == RUNBOOK:
        start(halo, target, None, end.given)
