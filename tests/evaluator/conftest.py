"""An evaluator with processes of its own, less patient than the worker's so that the tests are quick."""

import pytest

from worker.core.health import Health
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.metrics import Metrics

LIMITS = Limits(memory=128, seconds=0.1)


@pytest.fixture(autouse=True)
def forked_evaluators():
    """Here they start as in practice."""


@pytest.fixture
async def evaluator():
    metrics, health = Metrics(), Health()
    async with open_evaluator(LIMITS, metrics, health) as opened:
        opened.metrics, opened.health = metrics, health
        yield opened
