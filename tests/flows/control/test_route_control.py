"""The list of paused routes: known before any route begins, and changed by one operator after the other."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.tools.waiting import soon, until
from worker.core.clock import SystemClock
from worker.core.errors import Undecodable
from worker.core.pauses import Pause, Pauses
from worker.core.topology import CONTROL
from worker.metrics import Metrics
from worker.state.route_control import RouteControl, newest_pauses
from worker.state.sealed import seal, unseal

CLOCK = SystemClock()


async def test_what_is_paused_is_known_before_any_route_begins(job, operator):
    await operator.pause("erp")
    control = RouteControl(CLOCK, Metrics())
    waiting = asyncio.create_task(control.wait_loaded())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    following = asyncio.create_task(control.follow(job.other.broker, await operator.key()))
    await soon(waiting)
    assert control.pause_of("erp") is not None
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_changes_right_after_one_another_keep_each_other(job, operator):
    await asyncio.gather(*(operator.pause(name) for name in ("erp", "cmdb", "tickets")))
    await operator.resume("cmdb")
    assert (await newest_pauses(job.other.broker, await operator.key())).routes.keys() == {"erp", "tickets"}


async def test_where_no_worker_ever_ran_nothing_is_paused(job, operator):
    assert await newest_pauses(job.other.broker, await operator.key()) == Pauses()


async def test_a_list_that_no_operator_wrote_is_ignored_and_told(memory_job, operator):
    await operator.pause("erp")
    await memory_job.other.send(seal(Pauses(2**60, {}).as_object(), b"another key", CONTROL), CONTROL)
    with capture_logs() as logged:
        found = await newest_pauses(memory_job.other.broker, await operator.key())
    assert found.routes.keys() == {"erp"}
    assert {line["event"] for line in logged} == {"control.refused"}


async def test_a_replica_counts_a_list_that_no_operator_wrote(memory_job, operator):
    metrics = Metrics()
    control = RouteControl(CLOCK, metrics)
    following = asyncio.create_task(control.follow(memory_job.other.broker, await operator.key()))
    await soon(control.wait_loaded())
    await memory_job.other.send(seal(Pauses(2**60, {}).as_object(), b"another key", CONTROL), CONTROL)

    async def counted():
        return metrics.registry.get_sample_value("halo_worker_refused_state_total", {"kind": "pauses"}) == 1.0

    await until(counted)
    assert control.pauses.revision < 2**60
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"nonsense", b'{"text":1,"mac":2}', seal({"a": 1}, b"k", "another purpose"), seal({"a": 1}, b"other", "p")]
)
def test_what_is_not_sealed_for_this_purpose_is_no_document(body):
    with pytest.raises(Undecodable):
        unseal(body, b"k", "p")


def test_a_sealed_document_is_read_with_its_key_and_purpose():
    assert unseal(seal({"a": [1, "x"]}, b"k", "p"), b"k", "p") == {"a": [1, "x"]}


def test_the_first_pause_of_a_route_stays_and_revisions_rise():
    first = Pauses().with_pause("erp", Pause(10.0, "a"))
    assert first.with_pause("erp", Pause(20.0, "b")) is first
    second = first.with_pause("cmdb", Pause(5.0, "b"))
    assert second.revision > first.revision
    assert second.without("erp", 1.0).routes.keys() == {"cmdb"}
    assert second.without("unknown", 1.0) is second


@pytest.mark.parametrize("document", [{}, {"revision": 1}, {"revision": "x", "routes": {}}, {"revision": 1, "routes": {"a": 1}}, {"revision": 1, "routes": []}])
def test_a_list_with_a_wrong_member_is_refused(document):
    with pytest.raises(Undecodable):
        Pauses.of(document)
