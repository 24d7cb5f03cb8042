"""The connections of all integrations: one for each integration; with customers one for each row, opened by its first call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from worker.config.automation import Integration, IntegrationAuth
from worker.halo.interception import Intercept
from worker.integrations.connections import ApiConnection, ConnectionDeps, integration_error, open_connection
from worker.integrations.customers import CustomerSlots

Key = tuple[str, str]
"""The name of an integration, and its customer."""


@dataclass(slots=True, eq=False)
class Lease:
    """A connection. `slots`: of a customer; `users`: the calls that use it; `retired`: it closes when the last call ends."""

    connection: ApiConnection
    resources: AsyncExitStack
    slots: CustomerSlots | None
    users: int = 0
    retired: bool = False


class ConnectionPool:
    """Made by `open_pool`, and closed there."""

    def __init__(self, shared: ConnectionDeps, intercept: Intercept) -> None:
        self._shared = shared
        self._intercept = intercept
        self._integrations: Mapping[str, Integration] = {}
        self._wanted: Mapping[Key, Integration] = {}
        self._leases: dict[Key, Lease] = {}
        self._opening = asyncio.Lock()

    def __getitem__(self, name: str) -> Integration:
        return self._integrations[name]

    def connection(self, name: str) -> ApiConnection:
        """Return the connection of an integration without customers."""
        return self._leases[key_of(self._integrations[name])].connection

    async def open(self, integrations: Mapping[str, Integration]) -> None:
        """Open the connections of all integrations without customers. Raises `ConfigError`."""
        self._require(integrations)
        for integration in integrations.values():
            if integration.customers is None:
                await self._open(integration)

    async def replace(self, integrations: Mapping[str, Integration]) -> None:
        """Serve these integrations from now on. An unchanged connection keeps its token; the others close after their last call."""
        async with self._opening:  # a connection that is being opened belongs to the integrations before
            self._require(integrations)
            for key, lease in list(self._leases.items()):
                wanted = self._wanted.get(key)
                if wanted is None or wanted != lease.connection.integration:
                    del self._leases[key]
                    lease.retired = True
                    await self._close_unused(lease)
                    continue
                lease.connection = replace(lease.connection, integration=wanted)  # methods see its row; it may have changed without a new address
                if lease.slots is not None and lease.slots.most != max_concurrent_calls(integrations[key[0]]):
                    lease.slots = self._slots(key)

    @asynccontextmanager
    async def lease(self, integration: Integration) -> AsyncIterator[Lease]:
        """Lease the connection of an integration or of a customer. Raises `ConfigError` if it cannot be opened, or if a reload has removed it meanwhile."""
        key = key_of(integration)
        lease = self._leases.get(key)
        if lease is None:
            async with self._opening:
                if (wanted := self._wanted.get(key)) is None:  # the worker may no longer call its address
                    raise integration_error(integration, "it was removed from the route files or the table")
                lease = self._leases.get(key) or await self._open(wanted)
        lease.users += 1
        try:
            yield lease
        finally:
            lease.users -= 1
            await self._close_unused(lease)

    async def close(self) -> None:
        async with AsyncExitStack() as closing:
            for lease in self._leases.values():
                closing.push_async_callback(lease.resources.aclose)

    def _require(self, integrations: Mapping[str, Integration]) -> None:
        self._integrations = integrations
        self._wanted = {key_of(each): each for integration in integrations.values() for each in integration.each}

    async def _open(self, integration: Integration) -> Lease:
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(open_connection(integration, self._shared))
            send = self._intercept(integration.base_url, opened.send, credential_of(integration.auth))
            key = key_of(integration)
            lease = Lease(replace(opened, send=send), stack.pop_all(), self._slots(key))
        self._leases[key] = lease
        return lease

    def _slots(self, key: Key) -> CustomerSlots | None:
        integration = self._integrations.get(key[0])
        most = 0 if integration is None else max_concurrent_calls(integration)
        return CustomerSlots(most, self._shared.clock, self._shared.shutdown) if most else None

    async def _close_unused(self, lease: Lease) -> None:
        if lease.retired and not lease.users:
            await lease.resources.aclose()


@asynccontextmanager
async def open_pool(integrations: Mapping[str, Integration], shared: ConnectionDeps, intercept: Intercept) -> AsyncIterator[ConnectionPool]:
    """Open the pool. Raises `ConfigError` for an invalid address or authorization."""
    pool = ConnectionPool(shared, intercept)
    try:
        await pool.open(integrations)
        yield pool
    finally:
        await pool.close()


def key_of(integration: Integration) -> Key:
    return integration.name, integration.customer


def max_concurrent_calls(integration: Integration) -> int:
    """Return the maximum calls of one customer; 0 without customers."""
    return integration.customers.at_once if integration.customers is not None else 0


def credential_of(auth: IntegrationAuth) -> str:
    """Return the name of the query parameter that holds a credential; empty without one."""
    return auth.name or "" if auth.type == "api_key" and auth.place == "query" else ""
