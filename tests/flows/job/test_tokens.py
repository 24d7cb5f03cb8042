"""One token for everybody: when it ends while many requests are under way, one call brings the next."""

from __future__ import annotations

import pytest

from tests.tools.job import publisher, routes
from worker.sandbox.faults import Fault, FaultKind

IN_FLIGHT = 50


def auth_of(halo, grant):
    settings = halo.settings
    own = {"type": grant, "client_id": settings.client_id}
    if grant == "password":
        return own | {"username": settings.username, "password": settings.password}
    return own | {"client_secret": settings.client_secret}


@pytest.mark.parametrize("grant", ["client_credentials", "password"])
async def test_a_token_that_is_revoked_under_50_requests_costs_one_call_and_no_message(job, halos, grant):
    halo = await halos()
    held = halo.fault(Fault(FaultKind.HOLD, "POST", "/Asset", times=IN_FLIGHT))
    definition = routes(halo, publishers={"erp": publisher(concurrency=IN_FLIGHT, retry=[])}, auth=auth_of(halo, grant))
    running = await job.start(definition)
    for number in range(IN_FLIGHT):
        await job.other.send({"payload": {"inventory_number": f"SN-{number}"}})
    await running.until(lambda: held.struck == IN_FLIGHT)
    before = len(halo.journal.tokens)
    assert halo.revoke_tokens() == 1
    halo.faults.clear()
    await running.settled("erp", "done", IN_FLIGHT)
    posts = halo.journal.received("POST", "/Asset")
    assert sorted(entry.status for entry in posts) == [201] * IN_FLIGHT + [401] * IN_FLIGHT
    assert len(halo.journal.tokens) == before + 1
    assert len(halo.journal.created("/Asset")) == IN_FLIGHT
    assert {entry.grant for entry in halo.journal.tokens} <= {grant, "refresh_token"}
    assert running.messages("erp", "retried") == 0
    assert await job.other.depth("assets.dead") == 0


async def test_all_flows_of_a_client_share_its_token(memory_job, halos):
    halo = await halos()
    publishers = {f"erp-{number}": publisher(queue=f"assets-{number}") for number in range(5)}
    running = await memory_job.start(routes(halo, publishers=publishers))
    for number in range(5):
        await memory_job.other.send({"payload": {"inventory_number": f"SN-{number}"}}, f"assets-{number}")
        await running.settled(f"erp-{number}", "done")
    assert len(halo.journal.tokens) == 1


async def test_a_token_is_renewed_before_it_ends_and_nobody_notices(memory_job, halos):
    halo = await halos(token_seconds=2)
    running = await memory_job.start(routes(halo, publishers={"erp": publisher()}))
    sent = 0

    def renewed():
        return len(halo.journal.tokens) >= 3

    while not renewed():
        await memory_job.other.send({"payload": {"inventory_number": f"SN-{sent}"}})
        sent += 1
        await running.settled("erp", "done", sent)
    assert {entry.status for entry in halo.journal.received("POST", "/Asset")} == {201}
