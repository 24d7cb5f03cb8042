"""What every flow that is tried by itself reports to, and waiting for what has no event."""

from __future__ import annotations

import asyncio

import pytest

from tests.tools.waiting import SOON
from worker.core.health import Health
from worker.metrics import Metrics


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
            while not condition():  # noqa: ASYNC110 - what is waited for has no event, and nobody measures time
                await asyncio.sleep(0)

    return wait
