"""The worker as a process of its own: started, asked, signalled, and always cleaned up."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from tests.tools.prefork import NOTHING, ForkedProcess, start
from tests.tools.waiting import SOON, until

START = SOON
AUTHORITIES = ("SSL_CERT_FILE", str(Path(__file__).with_name("authorities.pem")))  # what OpenSSL reads instead of the system's


def environment(folder: Path, variables: Mapping[str, str], **settings: Any) -> dict[str, str]:
    """What the worker sees: nothing of ours but the search path, its settings by name (`amqp_url`, `shutdown_grace`), and `variables` for route files."""
    given = {"routes": folder / "routes", "secrets": folder / "secrets", "log_level": "debug", "log_format": "json", "admin_port": 0} | settings
    own = {f"WORKER_{name.upper()}": str(value) for name, value in given.items()}
    return {"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), "PYTHONUNBUFFERED": "1"} | dict([AUTHORITIES]) | own | dict(variables)


@dataclass
class WorkerProcess:
    """One replica. `output` is the file that holds what it wrote, standard output and standard error together."""

    process: ForkedProcess | asyncio.subprocess.Process
    output: Path
    _port: int = field(default=0, init=False)
    _lines: list[dict[str, Any]] = field(default_factory=list, init=False)
    _of_event: defaultdict[Any, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list), init=False)
    _read: int = field(default=0, init=False)

    def text(self) -> str:
        return self.output.read_text("utf-8", errors="replace")

    def log(self, event: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """Its log lines, of one event and with these fields."""
        with self.output.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]  # the last line may not be complete
        if whole:
            self._read += len(whole) + 1
            self._take([orjson.loads(line) for line in whole.splitlines() if line.startswith(b"{") and line.endswith(b"}")])
        lines = self._lines if event is None else self._of_event[event]  # long runs ask often, and most lines are of other events
        return [line for line in lines if all(line.get(name) == value for name, value in fields.items())]

    def _take(self, lines: list[dict[str, Any]]) -> None:
        self._lines += lines
        for line in lines:
            self._of_event[line.get("event")].append(line)

    async def logged(self, event: str, within: float = START, **fields: Any) -> dict[str, Any]:
        """The first such line, as soon as it is there."""

        async def look() -> list[dict[str, Any]]:
            assert self.running or self.log(event, **fields), f"the worker ended with {self.process.returncode}:\n{self.text()[-3000:]}"
            return self.log(event, **fields)

        return (await until(look, within))[0]

    def listens_at(self, port: int) -> None:
        """Where its admin port is, when its log does not tell."""
        self._port = port

    @property
    def running(self) -> bool:
        return self.process.returncode is None

    async def get(self, path: str) -> tuple[int, str]:
        """An answer of its admin port."""
        self._port = self._port or (await self.logged("admin.listening"))["port"]
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self._port}{path}") as response:
            return response.status, await response.text()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric of the worker over all that has these labels, 0 where there is none."""
        _, text = await self.get("/metrics")
        found = 0.0
        for line in text.splitlines():
            shown, _, value = line.rpartition(" ")
            if shown.partition("{")[0] == f"halo_worker_{name}" and all(f'{label}="{wanted}"' in shown for label, wanted in labels.items()):
                found += float(value)
        return found

    async def parts(self) -> dict[str, dict[str, Any]]:
        """What readiness says of each part."""
        _, text = await self.get("/readyz")
        parts: dict[str, dict[str, Any]] = orjson.loads(text)["parts"]
        return parts

    async def ready(self, within: float = START) -> None:
        await self._readiness(200, within)

    async def unready(self, within: float = START) -> None:
        await self._readiness(503, within)

    async def _readiness(self, status: int, within: float) -> None:
        async def asked() -> bool:
            return (await self.get("/readyz"))[0] == status

        await until(asked, within)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, within: float = START) -> int:
        async with asyncio.timeout(within):
            return await self.process.wait()

    async def stop(self, within: float = START) -> int:
        """Ask it to end; its exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended(within)

    async def kill(self) -> None:
        """As if the machine had lost its power."""
        with suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def worker_process(
    folder: Path, amqp_url: str, *, name: str = "worker", command: str = "run", variables: Mapping[str, str] | None = None, **settings: Any
) -> AsyncIterator[WorkerProcess]:
    """A worker over the route files in `folder/routes`; nothing of it is left at exit."""
    output = folder / f"{name}.log"
    with output.open("wb") as file:
        given = environment(folder, variables or {}, amqp_url=amqp_url, instance=name, **settings)
        process = await start([command], given, stdin=NOTHING, stdout=file.fileno(), stderr=file.fileno())
    worker = WorkerProcess(process, output)
    try:
        yield worker
    finally:
        await worker.kill()


def write_routes(folder: Path, routes: Mapping[str, Any]) -> Path:
    """One route file (JSON is YAML) and an empty folder for secrets; the folder of route files."""
    directory = folder / "routes"
    directory.mkdir(exist_ok=True)
    (folder / "secrets").mkdir(exist_ok=True)
    written = folder / f"routes-{uuid4().hex}"
    written.write_bytes(orjson.dumps(routes, option=orjson.OPT_INDENT_2))
    written.replace(directory / "routes.yaml")  # a worker that reads it meanwhile sees all of it
    return directory
