"""Customers with an API each on the other side: every one has its own address, takes its own secret, and keeps what it saw."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.flows.runbooks.conftest import Api, Call, serving_api

QUEUE = "rmm.go"
HEADER = "customer,port,client_id,secret"


@dataclass
class Tenant(Api):
    """`answers`: the statuses of its next calls, before it is well again."""

    name: str = ""

    def __post_init__(self) -> None:
        self.secret = f"planted-secret-of-{self.name}"
        self.token = f"planted-token-of-{self.name}"
        self.statuses: list[int] = []
        self.on_call = self.called

    async def called(self, call: Call) -> tuple[int, Any]:
        if call.path == "/token":
            good = self.secret in str(call.body)
            return (200, {"access_token": self.token, "expires_in": 3600}) if good else (401, {"error": "invalid_client"})
        if call.headers.get("Authorization") != f"Bearer {self.token}":
            return 401, {"error": "not yours"}
        return (self.statuses.pop(0), {}) if self.statuses else (200, {"id": self.name})

    @property
    def row(self) -> str:
        return f"{self.name},{self.url.rpartition(':')[2]},id-of-{self.name},{self.name}.key"

    @property
    def work(self) -> list[Call]:
        """The calls of methods."""
        return [call for call in self.calls if call.path != "/token"]

    @property
    def seen(self) -> str:
        """Everything that arrived, as one text."""
        return "\n".join(f"{call.method} {call.path} {call.query} {call.body} {dict(call.headers)}" for call in self.calls)


@asynccontextmanager
async def tenants(names: Iterable[str]) -> AsyncIterator[dict[str, Tenant]]:
    async with AsyncExitStack() as stack:
        yield {name: await stack.enter_async_context(serving_api(Tenant(name=name))) for name in names}


def write_tenants(folder: Path, known: Iterable[Tenant]) -> None:
    """The table beside the route files, and a secret for each customer in a folder of its own."""
    (folder / "routes").mkdir(exist_ok=True)
    (folder / "secrets" / "rmm").mkdir(parents=True, exist_ok=True)
    for tenant in known:
        (folder / "secrets" / "rmm" / f"{tenant.name}.key").write_text(tenant.secret)
    new = folder / "routes" / "tenants.csv.new"
    new.write_text("\n".join([HEADER, *(tenant.row for tenant in known)]))
    new.rename(folder / "routes" / "tenants.csv")


def rmm_routes(**more: Any) -> dict[str, Any]:
    """One integration and one runbook for all customers; `more` are members of `customers`."""
    address = "http://127.0.0.1:{{ $customer.port }}"
    auth = {
        "type": "oauth2",
        "token_url": f"{address}/token",
        "client_id": "{{ $customer.client_id }}",
        "client_secret": "${file:rmm/{{ $customer.secret }}}",
    }
    methods = {
        "alert": {"method": "POST", "path": "/orgs/{{ $customer.client_id }}/alerts", "body": {"text": "<<Text>>"}},
        "devices": {"method": "GET", "path": "/devices"},
    }
    rmm = {"customers": {"table": "tenants", "row": "<<Customer>>"} | more, "base_url": address, "auth": auth, "allow_hosts": ["127.0.0.1"]}
    steps = {"alert": {"method": "rmm.alert", "in_doubt": "repeat", "retry": ["100ms", "200ms", "300ms"]}}
    book = {"start": {"queue": QUEUE}, "input": {"Customer": "request^customer!", "Text": "request^text!"}, "first": "alert", "steps": steps}
    return {"tables": {"tenants": "tenants.csv"}, "integrations": {"rmm": rmm | {"methods": methods}}, "runbooks": {"rb": book}}
