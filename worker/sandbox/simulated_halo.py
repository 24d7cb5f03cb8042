"""The simulated Halo as a whole: data, clock, journal, faults, and settings that may change while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.sandbox.faults import ActiveFault, Fault, Faults
from worker.sandbox.journal import Journal, ReceivedRequest
from worker.sandbox.rate_limiter import RateLimiter
from worker.sandbox.record_schema import text_ids
from worker.sandbox.reference_data import API_AGENT
from worker.sandbox.seeded_tenant import Tenant, TenantSize
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.store import Store
from worker.sandbox.table import Row
from worker.sandbox.tokens import TokenStore

NowFunction = Callable[[], datetime]
RequestHook = Callable[[ReceivedRequest], None]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RunbookStart:
    """A run that waits for its beginning. `run`: the id of its row; `runbook`: the GUID; `given`: values of declared variables."""

    run: int
    runbook: str
    request: Any = None
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class SimulatedHalo:
    """`now`: the true time. `clock`: the time on this Halo's clock."""

    settings: SandboxSettings
    now: NowFunction = utc_now
    url: str = ""
    journal: Journal = field(default_factory=Journal)
    faults: Faults = field(default_factory=Faults)
    rate_limiter: RateLimiter = field(default_factory=RateLimiter)
    store: Store = field(init=False)
    tokens: TokenStore = field(init=False)
    hooks: list[RequestHook] = field(default_factory=list)
    creating_tickets: int = 0
    runs: asyncio.Queue[RunbookStart] = field(default_factory=asyncio.Queue)
    """Runs of runbooks that wait for execution; `runs.join()` waits for the end of all."""

    def __post_init__(self) -> None:
        tenant = Tenant(self.settings.seed, TenantSize(self.settings.tickets), self.clock(), self.settings.seeded_days)
        self.store = Store(tenant, self.clock, text_ids())
        self.tokens = TokenStore(self.now)

    def clock(self) -> datetime:
        return self.now() + timedelta(seconds=self.settings.clock_offset)

    def date(self) -> datetime:
        """The time in the Date header."""
        return self.now() + timedelta(seconds=self.settings.date_offset)

    def agent(self) -> Row:
        """The agent for whom the application acts."""
        return self.store.get("agent", API_AGENT) or {"id": API_AGENT}

    def revoke_tokens(self) -> int:
        """Revokes all tokens, and returns their number."""
        return self.tokens.revoke()

    def on_request(self, hook: RequestHook) -> None:
        """Calls the hook with every request before the request is processed, for example to change records between two pages."""
        self.hooks.append(hook)

    def fault(self, fault: Fault) -> ActiveFault:
        """The same as `faults.add`."""
        return self.faults.add(fault)
