"""Runbooks at work in this process: both brokers, a simulated Halo, and an API whose answers each test writes itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from aiohttp import web

from tests.flows.job.conftest import Job, Running, halos, job, memory_job  # noqa: F401 - fixtures: the worker on both brokers, or on the embedded one
from tests.tools.job import client
from worker.core.errors import Undecodable
from worker.core.json_codec import decode, encode
from worker.flows.running.run_message import run_queue
from worker.sandbox.simulated_halo import SimulatedHalo

GO = "go"
"""The queue that starts the runbook of a test, which is called `rb`."""
RUN = run_queue("rb")
DEAD = f"{RUN}.dead"
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Call:
    """A call that arrived."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def readable(body: bytes) -> Any:
    """A body's JSON, its text where it is none, None where it is empty."""
    try:
        return decode(body) if body else None
    except Undecodable:
        return body.decode()


class Cut(Exception):
    """The connection is to end without an answer."""


@dataclass
class Api:
    """`on_call` gives status and body; by itself everything is fine. `headers` go with every answer."""

    headers: dict[str, str] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    on_call: Callable[[Call], Awaitable[tuple[int, Any]]] | None = None
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        call = Call(request.method, request.path, dict(request.query), readable(body), request.headers)
        self.calls.append(call)
        try:
            status, answer = await self.on_call(call) if self.on_call else (200, {"name": "Ada", "items": [{"id": 1, "text": "one"}, {"id": 2, "text": "two"}]})
        except Cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return web.Response(status=status, body=encode(answer), content_type="application/json", headers=self.headers)

    def answers(self, *answers: tuple[int, Any] | type[Cut]) -> None:
        """These, one after the other; the last one again and again."""
        waiting = list(answers)

        async def give(_: Call) -> tuple[int, Any]:
            answer = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            if isinstance(answer, type):
                raise answer
            return answer

        self.on_call = give


A = TypeVar("A", bound=Api)


@asynccontextmanager
async def serving_api(api: A) -> AsyncIterator[A]:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", api.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield api
    finally:
        await runner.cleanup()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serving_api(Api()) as api:
        yield api


def integration(api: Api, **methods: Any) -> dict[str, Any]:
    """An integration with a method for each verb, `api.get` to `api.delete`, and these."""
    made: dict[str, Any] = {verb.lower(): {"method": verb, "path": "/things"} for verb in VERBS}
    for verb in ("post", "put", "patch"):
        made[verb]["body"] = {"name": "<<Name>>"}
    return {"base_url": api.url, "allow_hosts": ["127.0.0.1"], "methods": made | methods}


def runbook(steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A runbook that begins with the first of these steps."""
    variables = {"Name": "request^name!", "Number": "request^number"}
    return {"start": {"queue": GO}, "input": variables, "first": next(iter(steps)), "steps": steps} | more


def call(verb: str = "post", **more: Any) -> dict[str, Any]:
    """A step that calls this method of the API, and tries again soon."""
    return {"method": f"api.{verb}", "retry": ["50ms", "100ms"]} | more


def action(name: str, body: Any = None, **more: Any) -> dict[str, Any]:
    """A step that does this on Halo, and tries again soon."""
    made = {"action": name, "client": "main", "retry": ["50ms", "100ms"]} | more
    return made if body is None else made | {"body": body}


@dataclass
class Scene:
    """A running worker with one runbook, `rb`, and everything around it."""

    job: Job
    running: Running

    async def begin(self, payload: Any = None, **properties: Any) -> str:
        """Start a run; the id of the starting message."""
        return await self.job.other.send({"name": "Ada", "number": 7} if payload is None else payload, GO, **properties)

    async def done(self, count: int = 1) -> None:
        await self.running.settled("rb", "done", count)

    async def letter(self) -> Any:
        """The next dead letter of the steps."""
        return await self.job.other.take(DEAD)

    def count(self, result: str) -> int:
        return self.running.messages("rb", result)

    async def empty(self) -> None:
        """Until nothing is under way, and nothing was buried."""
        for queue in (GO, RUN):
            await self.job.other.settles(queue)
        assert await self.job.other.depth(DEAD) == 0


async def play(stage: Job, api: Api, steps: dict[str, Any], halo: SimulatedHalo | None = None, methods: dict[str, Any] | None = None, **more: Any) -> Scene:
    """Put a runbook of these steps to work on this stage; `rate_limit` and `timeout` are the client's, `auth` is the integration's, `others` are further runbooks."""
    members = {name: more.pop(name) for name in ("rate_limit", "timeout") if name in more}
    proof = {"auth": more.pop("auth")} if "auth" in more else {}
    others = more.pop("others", {})
    definition = {
        "clients": {"main": client(halo, **members)} if halo is not None else {},
        "integrations": {"api": integration(api, **(methods or {})) | proof},
        "runbooks": {"rb": runbook(steps, **more)} | others,
    }
    return Scene(stage, await stage.start(definition))
