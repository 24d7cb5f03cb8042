"""Short rounds of the chaos, each with a seed of its own: everything at random, and SIGKILLs during creates."""

from __future__ import annotations

from tests.chaos import rounds
from tests.chaos.schedule import NODE

SLOW = NODE - {"connections closed"}  # stopping a broker takes longer than the rest of a short round


async def test_a_short_round_of_everything_loses_nothing_and_doubles_nothing(rabbitmq, tmp_path):
    told: list[str] = []
    verdict = await rounds.everything(rabbitmq, tmp_path, 11, 10, 2, told.append, gap=0.6, without=SLOW)
    assert verdict.good, "\n".join([*told, str(verdict.tally), *verdict.broken])
    assert verdict.tally.accepted > 100
    assert verdict.tally.events > 100


async def test_sigkills_during_creates_lose_nothing_and_double_nothing(rabbitmq, tmp_path):
    """And Halo executes, and then resets, cuts, answers 500 or a web page."""
    told: list[str] = []
    verdict = await rounds.kills(rabbitmq, tmp_path, 5, 6, 60, 2, told.append, failing=True)
    assert verdict.good, "\n".join([*told, str(verdict.tally), *verdict.broken])
    assert (verdict.tally.accepted, verdict.tally.done) == (60, 60)
