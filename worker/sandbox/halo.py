"""The simulated Halo as a whole: its data, its clock, its journal, its faults, and the settings that may change while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from worker.sandbox.faults import Fault, Faults, Planned
from worker.sandbox.journal import Journal, Received
from worker.sandbox.limits import RollingWindow
from worker.sandbox.paths import text_ids
from worker.sandbox.seeds import Size, Tenant
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.store import Store
from worker.sandbox.tokens import Tokens

Clock = Callable[[], datetime]
Hook = Callable[[Received], None]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Halo:
    """`now` is true time; `clock` is what this Halo believes."""

    settings: SandboxSettings
    now: Clock = utc_now
    url: str = ""
    journal: Journal = field(default_factory=Journal)
    faults: Faults = field(default_factory=Faults)
    limits: RollingWindow = field(default_factory=RollingWindow)
    store: Store = field(init=False)
    tokens: Tokens = field(init=False)
    hooks: list[Hook] = field(default_factory=list)
    creating_tickets: int = 0

    def __post_init__(self) -> None:
        tenant = Tenant(self.settings.seed, Size(self.settings.tickets), self.clock(), self.settings.seeded_days)
        self.store = Store(tenant, self.clock, text_ids())
        self.tokens = Tokens(self.now)

    def clock(self) -> datetime:
        return self.now() + timedelta(seconds=self.settings.clock_offset)

    def date(self) -> datetime:
        """What the Date header of answers says."""
        return self.now() + timedelta(seconds=self.settings.date_offset)

    def revoke_tokens(self) -> int:
        """All tokens end now; how many there were."""
        return self.tokens.revoke()

    def on_request(self, hook: Hook) -> None:
        """Calls the hook with every request that arrives, before anything is done with it: the place to change records between two pages."""
        self.hooks.append(hook)

    def fault(self, fault: Fault) -> Planned:
        """Plans a fault; the same as `faults.add`."""
        return self.faults.add(fault)
