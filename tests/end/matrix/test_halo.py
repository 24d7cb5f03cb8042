"""Halo leaves it open whether it did what it was asked: rows 34 and 43, with the checker over everything at once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.end.matrix.conftest import creating
from tests.tools.waiting import until
from worker.sandbox.faults import Fault, FaultKind

EITHER = [Fault(FaultKind.ANSWER, "POST", "/Asset", status=status, executed=executed, nth=nth) for nth, (status, executed) in enumerate(
    ((status, executed) for status in (500, 502, 503, 504) for executed in (True, False)), start=1)]  # fmt: skip
OTHERS = [
    *(Fault(does, "POST", "/Asset", executed=executed) for does in (FaultKind.RESET, FaultKind.CLOSE, FaultKind.HTML) for executed in (True, False)),
    Fault(FaultKind.CUT, "POST", "/Asset"),
]


@pytest.mark.parametrize("faults", [EITHER, OTHERS], ids=["statuses", "connections and bodies"])
async def test_whatever_halo_leaves_open_many_at_once_ends_in_one_record_each(case, stage, faults):
    """Rows 30 to 34."""
    planned = [case.halo.fault(fault) for fault in faults]
    worker = await stage.start(creating(case.halo, concurrency=4, retry=["500ms", "1s", "8s"], client={"timeout": "3s"}), **case.quick)
    await case.create(20)
    await case.done()
    retried = await worker.metric("messages_total", result="retried")
    await case.judged(worker, all_struck=all(each.struck for each in planned), retried=retried > 0)


async def test_a_lookup_that_lags_behind_the_create_is_waited_for(case, stage):
    """Row 43: the connection is lost after Halo did it, and Halo's lists do not show the record to the first lookup."""
    case.halo.settings = replace(case.halo.settings, list_lag=3600.0)
    case.halo.fault(Fault(FaultKind.RESET, "POST", "/Asset", executed=True))
    worker = await stage.start(creating(case.halo, retry=["500ms", "1s", "8s"], client={"timeout": "3s"}), **case.quick)
    await case.create(1)

    async def looked() -> bool:
        return bool(case.halo.journal.executed("GET", "/Asset"))

    await until(looked)
    case.halo.settings = replace(case.halo.settings, list_lag=0.0)
    await case.done()
    await case.judged(worker)
