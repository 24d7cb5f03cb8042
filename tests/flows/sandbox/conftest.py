"""A plain HTTP client, and a simulated Halo for it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import SimulatedHalo, utc_now


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Visitor:
    """Fetches a token when it first needs one; query values are written as they are."""

    def __init__(self, halo: SimulatedHalo, session: aiohttp.ClientSession) -> None:
        self.halo = halo
        self.session = session
        self.scope = "all"
        self._token: str | None = None

    async def token(self, **fields: str) -> Answer:
        settings = self.halo.settings
        form = {"grant_type": "client_credentials", "client_id": settings.client_id, "client_secret": settings.client_secret, "scope": self.scope, **fields}
        return await self.call("POST", "/auth/token", data={name: value for name, value in form.items() if value}, bearer=False)

    async def call(self, method: str, path: str, *, bearer: bool = True, headers: dict[str, str] | None = None, **options: Any) -> Answer:
        sent = dict(headers or {})
        if bearer:
            if self._token is None:
                self._token = (await self.token()).json["access_token"]
            sent.setdefault("Authorization", f"Bearer {self._token}")
        async with self.session.request(method, self.halo.url + path, headers=sent, **options) as response:
            return Answer(response.status, await response.read(), response.headers)

    def forget_token(self) -> None:
        self._token = None

    async def get(self, path: str, **query: Any) -> Answer:
        return await self.call("GET", f"/api{path}", params={name: str(value) for name, value in query.items()})

    async def post(self, path: str, body: Any, **query: Any) -> Answer:
        return await self.call("POST", f"/api{path}", json=body, params={name: str(value) for name, value in query.items()})

    async def delete(self, path: str, **query: Any) -> Answer:
        return await self.call("DELETE", f"/api{path}", params={name: str(value) for name, value in query.items()})

    async def pages(self, path: str, key: str, size: int, **query: Any) -> list[Any]:
        """All pages until an empty one."""
        rows: list[Any] = []
        number = 1
        while page := (await self.get(path, pageinate="true", page_size=size, page_no=number, **query)).json[key]:
            rows += page
            number += 1
        return rows


Visit = Callable[..., AbstractAsyncContextManager[Visitor]]


@pytest.fixture
def visit() -> Visit:
    @asynccontextmanager
    async def visiting(now: Any = utc_now, watcher: Any = None, **switches: Any) -> AsyncIterator[Visitor]:
        settings = SandboxSettings(**{"tickets": 30, **switches})
        async with serve(settings, now=now, watcher=watcher) as halo, aiohttp.ClientSession() as session:
            yield Visitor(halo, session)

    return visiting
