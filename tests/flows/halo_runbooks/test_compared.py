"""A document of Halo and what the import makes of it send the same requests in the same order, with the same bodies."""

from __future__ import annotations

import pytest

from tests.flows.halo_runbooks.conftest import at, run_here, run_in_halo
from tests.tools.halo_documents import DONE, FAIL, Case, call, ends, method, output, runbook, sound, vendor

SOUND = sound()


@pytest.mark.parametrize("name", SOUND)
async def test_a_runbook_sends_the_same_requests_in_the_simulated_halo_and_here(memory_job, halos, api_of, name):
    api = await api_of(SOUND[name])
    case = at(SOUND[name], api)
    there = await run_in_halo(case, await halos(), api)
    here = await run_here(case, await halos(), api, memory_job, there.good + there.bad)
    assert there.requests or there.writes, "the document does nothing, so nothing is compared"
    assert here.requests == there.requests
    assert here.writes == there.writes
    assert (here.good, here.bad) == (there.good, there.bad)


async def test_a_variable_without_a_value_ends_the_run_in_halo_and_is_empty_text_here(memory_job, halos, api_of):
    """The one known way in which requests differ while no call fails: the guide says so."""
    said = vendor(
        methods=[
            method(17, "Ping", 1, "/ping", output_variables=[output("State", "<<response^state!>>")]),
            method(51, "Say", 1, "/say", requestbody='{"state": "<<State>>"}'),
        ]
    )
    steps = [call(1, "Ping", 17, 2, FAIL), call(2, "Say", 51, DONE, FAIL), *ends()]
    api = await api_of(Case([], answers=lambda *_: (200, {})))
    case = at(Case([runbook("Missing", steps)], [said]), api)
    there = await run_in_halo(case, await halos(), api)
    here = await run_here(case, await halos(), api, memory_job, 1)
    assert ([path for _, path, _, _ in there.requests], there.bad) == (["/v1/ping"], 1)
    assert ([(path, body) for _, path, _, body in here.requests], here.good) == ([("/v1/ping", b""), ("/v1/say", b'{"state": ""}')], 1)
