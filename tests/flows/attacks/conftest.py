"""What a hostile sender can do to a whole worker on a real RabbitMQ: it may write to one exchange, and knows every name of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.flows.job.conftest import Job, halos, on_stage  # noqa: F401 - `halos` is a fixture
from tests.flows.runbooks.conftest import api  # noqa: F401 - a fixture
from tests.tools.stranger import Stranger, stranger

BIND = [{"exchange": "erp", "routing_key": "#"}]
VICTIM = "victim"
"""A queue that nobody but the worker may write to."""


@dataclass
class Stage:
    """A worker's stage, and the stranger at the same broker."""

    job: Job
    stranger: Stranger


@pytest.fixture
async def stage(amqp_url: str, tmp_path) -> AsyncIterator[Stage]:
    async with on_stage(tmp_path, amqp_url, None) as job, stranger(amqp_url) as sender:
        await job.other.declare(VICTIM)
        yield Stage(job, sender)
