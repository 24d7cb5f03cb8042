"""A short absence of Halo, and what a worker would be told that spins."""

from __future__ import annotations

import pytest

from tests.chaos.away import Idle, away


@pytest.mark.long
async def test_while_halo_is_away_nothing_is_buried_and_nobody_spins_and_afterwards_all_is_done(rabbitmq, tmp_path):
    told: list[str] = []
    verdict = await away(rabbitmq, tmp_path, 3, 0.1, 2, told.append, pause=0.2)
    assert verdict.good, "\n".join([*told, str(verdict.tally), *verdict.broken])
    assert verdict.tally.accepted == verdict.tally.done > 10


@pytest.mark.parametrize(("cpu", "lines", "quiet"), [(4.0, 200, True), (900.0, 200, False), (4.0, 40_000, False)])
def test_a_worker_that_tries_without_end_is_found_out(cpu, lines, quiet):
    assert Idle("one", 3600, cpu, lines).quiet is quiet
