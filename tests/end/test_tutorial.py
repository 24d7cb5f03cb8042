"""The tutorial, followed to the letter: each file is saved, each command typed, and what the page shows is waited for and compared."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.tools.commands import run_command
from tests.tools.documents import FENCE, SAVED, text_of
from tests.tools.ports import free_ports
from tests.tools.prefork import NOTHING, ForkedProcess, start
from tests.tools.process import environment
from tests.tools.rabbitmq import RabbitMQ, vhost_of
from tests.tools.waiting import SOON, until

TUTORIAL = "docs/tutorial.md"
BEFORE = ("python3 -m venv", ". .venv/bin/activate", "pip install .", "docker run")
"""Commands that install: the image and the package have tests of their own."""


@dataclass
class Reader:
    """Sits at the terminals: sandbox and worker run in theirs until the end, the other commands in the first."""

    place: Path
    url: str
    ports: dict[str, str]
    running: dict[str, ForkedProcess] = field(default_factory=dict)
    shown: str = ""
    ran: list[str] = field(default_factory=list)

    async def types(self, line: str) -> None:
        for there, here in self.ports.items():
            line = line.replace(there, here)
        words = shlex.split(line)
        self.ran.append(" ".join(words[:2]))
        if words[0] == "cd":
            self.place /= words[1]
        elif words[:2] in (["halo-worker", "sandbox"], ["halo-worker", "run"]):
            await self.starts(words[1:])
        elif words[0] == "halo-worker":
            ended = await run_command(self.place, *words[1:], directory=self.place, routes="routes", amqp_url=self.url)
            assert (ended.code, ended.err) == (0, ""), (line, ended)
            self.shown = ended.out
        else:
            assert words[0] == "curl", line
            curl = await asyncio.create_subprocess_exec("curl", "-sS", "--fail", *words[1:], stdout=asyncio.subprocess.PIPE)
            self.shown = (await curl.communicate())[0].decode()
            assert curl.returncode == 0, line
            assert '"routed":false' not in self.shown, line

    async def starts(self, words: list[str]) -> None:
        """In a terminal of its own; the one that ran there is ended first."""
        if before := self.running.pop(words[0], None):
            before.terminate()
            async with asyncio.timeout(SOON):
                assert await before.wait() == 0
        if words == ["sandbox"]:
            words += ["--port", self.ports[":8090"].removeprefix(":")]
        with self.log(words[0]).open("wb") as output:
            given = environment(self.place, {}, routes="routes", amqp_url=self.url, log_level="info", log_format="console")
            self.running[words[0]] = await start(words, given, stdin=NOTHING, stdout=output.fileno(), stderr=output.fileno(), directory=self.place)

    def log(self, command: str) -> Path:
        return self.place / f"{command}.log"

    def saves(self, name: str, text: str) -> None:
        (self.place / name).write_text(text, "utf-8")

    async def sees_in_the_log(self, lines: list[str]) -> None:
        wanted = [pattern_of(line) for line in lines]

        async def there() -> bool:
            log = re.sub(r" +", " ", self.log("run").read_text("utf-8"))
            return all(re.search(pattern, log) for pattern in wanted)

        try:
            await until(there, SOON)
        except TimeoutError:
            pytest.fail(f"the log does not show {lines}:\n{self.log('run').read_text('utf-8')[-3000:]}")

    def sees(self, text: str) -> None:
        """A line that is `…` alone stands for any lines, within a line it stands for any text."""
        wanted = r"\n".join(r"(?:.*\n)*.*" if line == "…" else pattern_of(line) for line in text.splitlines())
        shown = "\n".join(re.sub(r" +", " ", line).strip() for line in self.shown.splitlines())
        assert re.fullmatch(wanted, shown), f"the page shows:\n{text}\nthe command printed:\n{shown}"


def pattern_of(line: str) -> str:
    return ".*".join(re.escape(part) for part in re.sub(r" +", " ", line.strip()).replace(" … ", "…").split("…"))


@pytest.fixture
async def reader(tmp_path: Path, rabbitmq: RabbitMQ, amqp_url: str) -> AsyncIterator[Reader]:
    [port] = free_ports(1)
    ports = {"http://127.0.0.1:15672": rabbitmq.api.base, "/%2F/": f"/{quote(vhost_of(amqp_url), safe='')}/", ":8090": f":{port}"}
    ports["guest:guest"] = f"{rabbitmq.api.user}:{rabbitmq.api.password}"
    reading = Reader(tmp_path, amqp_url, ports)
    try:
        yield reading
    finally:
        for process in reading.running.values():
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.mark.long
async def test_the_tutorial_does_what_it_says(reader: Reader):
    text, skipped = text_of(TUTORIAL), []
    for block in FENCE.finditer(text):
        if saved := SAVED.search(text, 0, block.start()):
            reader.saves(saved[1], block["text"])
        elif block["language"] == "bash":
            for line in block["text"].splitlines():
                if line.startswith(BEFORE):
                    skipped.append(line)
                    continue
                await reader.types(line)
                clients = reader.place / "routes/clients.yaml"
                if clients.exists():
                    clients.write_text(clients.read_text("utf-8").replace("http://127.0.0.1:8090", f"http://127.0.0.1{reader.ports[':8090']}"), "utf-8")
        elif block["language"] == "log":
            await reader.sees_in_the_log(block["text"].splitlines())
        else:
            assert block["language"] == "text"
            reader.sees(block["text"])
    assert len(skipped) == len(BEFORE)
    assert {"halo-worker plan", "halo-worker dead", "halo-worker test", "halo-worker run", "halo-worker sandbox"} <= set(reader.ran)
