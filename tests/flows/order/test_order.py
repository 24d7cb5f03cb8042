"""Messages of one key are applied in order, whatever fails meanwhile; the keys do not wait for each other."""

from __future__ import annotations

from tests.flows.order.conftest import applied, ordered, send_steps
from tests.tools.job import routes
from worker.sandbox.faults import Fault, FaultKind

KEYS = [1, 2, 3, 4, 5, 6]


async def test_messages_of_one_key_are_applied_in_order_through_faults_and_retries(job, halos):
    halo = await halos()
    for fault in (
        Fault(FaultKind.ANSWER, "POST", "/Asset", times=None, status=500, probability=0.15, seed=1),
        Fault(FaultKind.RESET, "POST", "/Asset", times=None, probability=0.05, seed=2),
        Fault(FaultKind.ANSWER, "POST", "/Asset", times=None, status=500, probability=0.1, seed=3, executed=True),
    ):
        halo.fault(fault)
    running = await job.start(routes(halo, publishers={"erp": ordered(concurrency=4, retry=["20ms"] * 20)}))
    await send_steps(job, KEYS, range(20))
    await running.settled("erp", "done", 120)
    assert applied(halo) == {key: list(range(20)) for key in KEYS}
    assert running.messages("erp", "retried") > 10
    assert await job.other.depth("assets.order") == await job.other.depth("assets.dead") == 0
    await running.stop()
