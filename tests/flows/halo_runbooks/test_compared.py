"""A document of Halo and what the import makes of it send the same requests in the same order, with the same bodies."""

from __future__ import annotations

import pytest

from tests.flows.halo_runbooks.conftest import at, run_here, run_in_halo
from tests.tools.halo_documents import sound

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
