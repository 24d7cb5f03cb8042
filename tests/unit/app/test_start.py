"""What the service says when it starts."""

from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from worker.cli import run
from worker.config.routes import Routes
from worker.core.clock import SystemClock
from worker.core.errors import Problem
from worker.settings import load_settings


@asynccontextmanager
async def nothing(*_given):
    yield


async def stopped_at_once(*_given):
    return True


@pytest.mark.parametrize("warnings", [(), (Problem("a.yaml", 1, 1, "x"), Problem("a.yaml", 2, 1, "y"))])
async def test_warnings_of_route_files_are_told_once(monkeypatch, warnings):
    for name, stand_in in {"stop_on_signals": nothing, "serve_admin": nothing, "run_until": stopped_at_once, "shorten_pauses": lambda: None}.items():
        monkeypatch.setattr(run, name, stand_in)
    service = SimpleNamespace(routes=Routes(warnings=warnings), health=None, metrics=None, run=None, clock=SystemClock(), stop=None, attach=nothing)
    with capture_logs() as logs:
        assert await run.serve(load_settings({}), lambda _stop, memory=None: service, None, None)
    told = [line for line in logs if line["event"] == "routes.warned"]
    assert [(line["log_level"], line["warnings"]) for line in told] == ([("warning", 2)] if warnings else [])
