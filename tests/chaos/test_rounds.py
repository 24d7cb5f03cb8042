"""A short round of the chaos: everything at random."""

from __future__ import annotations

import pytest

from tests.chaos import rounds
from tests.chaos.schedule import NODE

SLOW = NODE - {"connections closed"}  # stopping a broker takes longer than the rest of a short round


@pytest.mark.long
async def test_a_short_round_of_everything_loses_nothing_and_doubles_nothing(rabbitmq, tmp_path):
    told: list[str] = []
    verdict = await rounds.everything(rabbitmq, tmp_path, 11, 10, 2, told.append, gap=0.6, without=SLOW)
    assert verdict.good, "\n".join([*told, str(verdict.tally), *verdict.broken])
    assert verdict.tally.accepted > 100
    assert verdict.tally.events > 100
