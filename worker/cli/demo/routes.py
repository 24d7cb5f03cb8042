"""The sample routes for the demo: on a real broker with prefixed names, so that the demo touches no existing queue."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from secrets import token_hex

import worker
from worker.config.loader import load_routes
from worker.config.routes import RateLimit, Routes
from worker.sandbox.fake_completions_api import FakeCompletionsApi
from worker.sandbox.simulated_halo import SimulatedHalo

DEMO_REQUESTS = 7000
SAMPLES = ("clients.yaml", "subscribers.yaml", "publishers.yaml", "runbooks.yaml")


def with_larger_budget(routes: Routes) -> Routes:
    """The same routes with ten times the rate limit, so that the demo takes seconds instead of minutes."""
    clients = {name: replace(client, rate_limit=RateLimit(DEMO_REQUESTS, 300)) for name, client in routes.clients.items()}
    return replace(routes, clients=clients)


def sample_routes(halo: SimulatedHalo, completions: FakeCompletionsApi) -> Routes:
    """Loads the files of `routes/` beside the package, or the copies in an installed package."""
    beside = Path(worker.__file__).parent.parent / "routes"
    environment = {
        "HALO_URL": halo.url,
        "HALO_CLIENT_ID": halo.settings.client_id,
        "HALO_CLIENT_SECRET": halo.settings.client_secret,
        "COMPLETIONS_URL": completions.url,
        "COMPLETIONS_KEY": completions.key,
        "COMPLETIONS_HOST": completions.host,
        "ASK_SECRET": token_hex(),
        "HOOK_SECRET": token_hex(),
    }
    if all((beside / name).is_file() for name in SAMPLES):
        return load_routes(beside, environment, beside)
    with as_file(files("worker.cli") / "sample_routes") as packaged:
        return load_routes(packaged, environment, packaged)


def with_prefix(routes: Routes, prefix: str) -> Routes:
    """The same routes with a prefix on every route, queue and exchange name, without public endpoints and webhooks."""
    subscribers = {
        f"{prefix}{name}": replace(route, name=f"{prefix}{name}", exchange=prefix + route.exchange, queue=prefix + route.queue if route.queue else None)
        for name, route in routes.subscribers.items()
    }
    publishers = {
        f"{prefix}{name}": replace(route, name=f"{prefix}{name}", queue=prefix + route.queue, bind=tuple(source.with_prefix(prefix) for source in route.bind))
        for name, route in routes.publishers.items()
    }
    runbooks = {
        f"{prefix}{name}": replace(runbook, name=f"{prefix}{name}", queue=prefix + runbook.queue if runbook.queue else None, endpoint=None)
        for name, runbook in routes.runbooks.items()
    }
    return Routes(routes.clients, subscribers, publishers, routes.integrations, runbooks)
