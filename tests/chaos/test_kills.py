"""A short round of SIGKILLs during creates."""

from __future__ import annotations

import pytest

from tests.chaos import rounds


@pytest.mark.long
async def test_sigkills_during_creates_lose_nothing_and_double_nothing(rabbitmq, tmp_path):
    """And Halo executes, and then resets, cuts, answers 500 or a web page."""
    told: list[str] = []
    verdict = await rounds.kills(rabbitmq, tmp_path, 5, 6, 60, 2, told.append, failing=True)
    assert verdict.good, "\n".join([*told, str(verdict.tally), *verdict.broken])
    assert verdict.tally.accepted == verdict.tally.done + verdict.tally.parked == 60
