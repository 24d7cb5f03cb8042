"""The Docker engine as its command line shows it: images, networks, and containers that are gone at the end."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from tests.tools.waiting import until

ROOT = Path(__file__).parents[2]
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "10001")
GRACE = 30  # what the container is given at least; longer than WORKER_SHUTDOWN_GRACE


class Refused(Exception):
    """A docker command failed; the text is what it said."""


def docker(*arguments: object, within: float = 600, both: bool = False) -> str:
    """What the command prints on standard output; with `both`, on standard error too. Raises `Refused`."""
    words = ["docker", *(str(argument) for argument in arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=within, cwd=ROOT)
    if done.returncode:
        raise Refused(f"{' '.join(words)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return (done.stdout + done.stderr if both else done.stdout).strip()


@dataclass(frozen=True)
class Container:
    """A container by name. What takes its time is awaited, so that a test's own traffic goes on meanwhile."""

    name: str

    def inspect(self, what: str) -> Any:
        """A part of its state, such as `.State.ExitCode`."""
        return orjson.loads(docker("inspect", "--format", f"{{{{json {what}}}}}", self.name))

    def text(self) -> str:
        return docker("logs", self.name, both=True)

    def log(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """Its log lines of one event and with these fields."""
        lines = [orjson.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event and all(line.get(name) == value for name, value in fields.items())]

    async def stop(self, grace: float = GRACE) -> tuple[int, float]:
        """SIGTERM to its process 1, and SIGKILL after `grace` seconds: the exit code, and how long it took."""
        begin = time.monotonic()
        await asyncio.to_thread(docker, "stop", "-t", int(grace), self.name)
        return self.inspect(".State.ExitCode"), time.monotonic() - begin

    async def start(self) -> None:
        await asyncio.to_thread(docker, "start", self.name)

    async def kill(self) -> None:
        """SIGKILL, as if its machine were gone."""
        await asyncio.to_thread(docker, "kill", self.name)

    async def healthy(self, within: float = 60) -> None:
        """Until the engine's own health check says so."""

        async def look() -> bool:
            assert await asyncio.to_thread(self.inspect, ".State.Running"), f"{self.name} ended:\n{self.text()[-3000:]}"
            return await asyncio.to_thread(self.inspect, ".State.Health.Status") == "healthy"

        await until(look, within)

    async def ready(self, within: float = 60) -> None:
        await self.readiness(200, within)

    async def readiness(self, status: int, within: float = 60) -> dict[str, Any]:
        """What /readyz says, as soon as it is this status."""
        seen: dict[str, Any] = {}

        async def look() -> bool:
            assert await asyncio.to_thread(self.inspect, ".State.Running"), f"{self.name} ended:\n{self.text()[-3000:]}"
            try:
                async with aiohttp.ClientSession() as session, session.get(f"{self.address(8080)}/readyz") as answer:
                    seen.update(await answer.json())
                    return answer.status == status
            except aiohttp.ClientError:
                return False  # the port is forwarded before anybody listens behind it

        await until(look, within)
        return seen

    def address(self, port: int) -> str:
        """Where this port of it is reached from here."""
        return f"http://{docker('port', self.name, port).splitlines()[0]}"


@dataclass
class Yard:
    """One network with containers in it."""

    network: str
    containers: list[Container] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def run(self, image: str, *command: object, name: str = "", options: tuple[object, ...] = ()) -> Container:
        """A running container, reachable in its network as `name`."""
        full = f"{self.network}-{name or 'container'}-{next(self._numbers)}"
        alias = ("--network-alias", name) if name else ()
        container = Container(full)
        self.containers.append(container)
        docker("run", "--detach", "--name", full, "--hostname", name or full, "--network", self.network, *alias, *options, image, *command)
        return container


@contextmanager
def yard() -> Iterator[Yard]:
    """A network of its own; it and all that ran in it are removed at the end."""
    name = f"halo-worker-test-{uuid4().hex[:8]}"
    docker("network", "create", name)
    here = Yard(name)
    try:
        yield here
    finally:
        for container in here.containers:
            try:
                docker("rm", "--force", "--volumes", container.name)
            except Refused:
                continue  # it never came to be
        docker("network", "rm", name)
