"""Two messages are the same only where their queue, their id and their content are: senders count 1, 2, 3 as they like."""

from __future__ import annotations

from tests.flows.attacks.conftest import BIND
from tests.flows.runbooks.conftest import GO, call, integration, runbook
from tests.tools.job import publisher, routes


async def test_two_starts_of_a_runbook_under_one_id_are_two_runs_and_a_copy_is_none(stage, halos, api):
    halo = await halos()
    definition = routes(halo) | {"integrations": {"api": integration(api)}, "runbooks": {"rb": runbook({"ask": call()})}}
    running = await stage.job.start(definition)
    for name in ("Ada", "Bob", "Ada"):
        await stage.stranger.send({"name": name}, GO, message_id="1")
    await running.until(lambda: running.messages("rb", "skipped") == 1)
    await running.until(lambda: len(api.calls) == 2)
    await running.stop()
    assert sorted(called.body["name"] for called in api.calls) == ["Ada", "Bob"]


async def test_two_creates_under_one_id_are_two_records(stage, halos):
    halo = await halos()
    running = await stage.job.start(routes(halo, publishers={"erp": publisher(bind=BIND)}))
    for serial in ("SN-1", "SN-2"):
        await stage.stranger.send({"payload": {"inventory_number": serial}}, "asset.new", "erp", message_id="1")
    await running.settled("erp", "done", 2)
    assert len(halo.journal.created("/Asset")) == 2


async def test_two_messages_under_one_id_with_two_keys_of_once_are_both_sent(stage, halos):
    halo = await halos()
    running = await stage.job.start(routes(halo, publishers={"erp": publisher(bind=BIND, once="{{ payload.inventory_number }}")}))
    for serial in ("SN-1", "SN-2", "SN-1"):
        await stage.stranger.send({"payload": {"inventory_number": serial}}, "asset.new", "erp", message_id="1")
    await running.settled("erp", "done", 2)
    await running.settled("erp", "skipped")
    assert len(halo.journal.created("/Asset")) == 2
