"""A subscriber that knows its list already, and an operator who asks for its history."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.flows.control.conftest import operator  # noqa: F401 - a fixture
from tests.flows.job.conftest import halos, job, memory_job, soon_again  # noqa: F401 - fixtures
from tests.tools.waiting import SOON, until
from worker.core.clock import SystemClock
from worker.core.ports import Broker
from worker.state.backfill import Backfill
from worker.state.cursor_admin import read_status, replace_baton

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


async def begin(broker: Broker, route: str = "feed", since: datetime = LONG_AGO, number: str = "b1") -> None:
    now = datetime.now(UTC)
    made = Backfill(number, since, now, now.timestamp())
    await replace_baton(broker, SystemClock(), route, lambda baton: replace(baton, backfill=made.as_object()), max_wait=SOON)


async def state(broker: Broker, route: str = "feed") -> Backfill | None:
    """Where it is; None while a replica holds the baton."""
    status = await read_status(broker, SystemClock(), route)
    return None if status.baton is None else Backfill.of(status.baton.backfill)


async def ended(broker: Broker, route: str = "feed", within: float = SOON) -> Backfill:
    found: list[Backfill] = []

    async def over() -> bool:
        now = await state(broker, route)
        if now is not None and not now.running:
            found.append(now)
        return bool(found)

    await until(over, within)
    return found[-1]


def keys_of(letters) -> Counter[str]:
    return Counter(letter.key for letter in letters if letter.change == "backfilled")


@pytest.fixture(autouse=True)
def short_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns follow each other quickly."""
    monkeypatch.setattr("worker.flows.polling.backfilling.TURN_PAUSE", 0.05)
