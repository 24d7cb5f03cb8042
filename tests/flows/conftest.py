"""What every flow that is tried by itself reports to, and waiting for what has no event."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from tests.tools.waiting import SOON
from worker.core.health import Health
from worker.metrics import Metrics

TURNS = 100  # of the event loop, in which ends what needs no time
PAUSE = 0.002  # seconds: to ask costs the machine time that others need


@pytest.fixture
def health():
    return Health()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def until():
    async def wait(condition):
        async with asyncio.timeout(SOON):
            for turn in count():
                if condition():
                    return
                await asyncio.sleep(0 if turn < TURNS else PAUSE)  # what is waited for has no event

    return wait
