"""Fixtures for all tests: a real RabbitMQ for the session, and a virtual host of it for each test."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Generator, Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.tools.prefork import evaluator
from tests.tools.process import AUTHORITIES
from tests.tools.rabbitmq import NoRabbitMQ, RabbitMQ
from tests.tools.rabbitmq import rabbitmq as running_rabbitmq
from worker.evaluator import process

os.environ.update([AUTHORITIES])  # to read all authorities of a system takes longer than most tests
LONG = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # speed is measured elsewhere
settings.register_profile("long", LONG)
settings.register_profile("quick", LONG, max_examples=10, derandomize=True)  # no run of `make test` fails over what the run before it did not try
settings.load_profile("long")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests stay until the end: a collection of garbage that walks through them takes longer than most tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Commands set up logging for their process, and some tests call them in this one."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level


@pytest.fixture(autouse=True)
def forked_evaluators(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expressions are evaluated in processes of their own, which start without the time that their imports take."""
    monkeypatch.setattr(process, "spawn", evaluator)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """`.url`, `.new_vhost() -> url`, `.delete_queue(url, name)`, and where the node is ours `.stop() .kill() .start() .restart() .ctl(…)`."""
    try:
        with running_rabbitmq() as broker:
            yield broker
    except NoRabbitMQ as missing:
        pytest.exit(str(missing), returncode=1)


@pytest.fixture
def amqp_url(rabbitmq: RabbitMQ) -> Iterator[str]:
    """The URL of a fresh virtual host."""
    url = rabbitmq.new_vhost()
    yield url
    rabbitmq.drop_vhost(url)
