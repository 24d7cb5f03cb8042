"""The connections of integrations over a reload: what is gone is not connected to again."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from worker.config.automation import Customers, Integration, IntegrationAuth
from worker.core.clock import SystemClock
from worker.core.errors import ConfigError
from worker.halo.interception import no_interception
from worker.halo.shutdown_gate import ShutdownGate
from worker.integrations import pool
from worker.integrations.connections import ConnectionDeps, open_connection


def rmm(*keys: str) -> Integration:
    rows = {key: Integration("rmm", f"https://{key}.example.com", IntegrationAuth(), {}, customer=key) for key in keys}
    return Integration("rmm", "https://any.example.com", IntegrationAuth(), {}, customers=Customers("tenants", 2, rows))


@pytest.fixture
def opened(monkeypatch):
    """The addresses of connections that were opened."""
    addresses: list[str] = []

    def opening(integration, shared):
        addresses.append(integration.base_url)
        return open_connection(integration, shared)

    monkeypatch.setattr(pool, "open_connection", opening)
    return addresses


async def test_a_call_that_a_reload_overtakes_opens_no_connection_to_a_row_that_is_gone(metrics, opened):
    before = rmm("acme", "globex")
    rows = before.customers.rows
    async with pool.open_pool({"rmm": before}, ConnectionDeps({}, ShutdownGate(), cast("Any", None), metrics, SystemClock()), no_interception) as connections:
        await connections.replace({"rmm": rmm("globex")})
        with pytest.raises(ConfigError, match=r"integration rmm \(acme\): it was removed from the route files or the table"):
            async with asyncio.timeout(30), connections.lease(rows["acme"]):
                pass
        async with connections.lease(rows["globex"]):
            pass
    assert opened == ["https://globex.example.com"]
