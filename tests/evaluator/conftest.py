"""An evaluator with processes of its own, less patient than the worker's so that the tests are quick."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.tools.waiting import SOON
from worker.core.health import Health
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.metrics import Metrics

LIMITS = Limits(memory=128, seconds=0.1)
PATIENT = replace(LIMITS, seconds=SOON)
"""For what ends by something else than its time, which it may take on a busy machine."""


@pytest.fixture(autouse=True)
def forked_evaluators():
    """Here they start as in practice."""


@asynccontextmanager
async def opened(limits):
    metrics, health = Metrics(), Health()
    async with open_evaluator(limits, metrics, health) as evaluator:
        evaluator.metrics, evaluator.health = metrics, health
        yield evaluator


@pytest.fixture
async def evaluator():
    async with opened(LIMITS) as evaluator:
        yield evaluator
