"""A soak: messages without end and connections that are cut, and whether the worker's memory stays where it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, median

import aiohttp
import orjson

from tests.chaos.world import GRACE, HEARTBEAT
from tests.tools.ports import free_port
from tests.tools.process import WorkerProcess, worker_process, write_routes
from tests.tools.proxy import through_proxy
from tests.tools.rabbitmq import RabbitMQ
from tests.tools.waiting import until
from worker.broker.open import open_broker
from worker.core.errors import BrokerError
from worker.core.message import Message
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings

AHEAD = 2000  # messages in the queue at most
STALLED = 60.0  # seconds without any progress
PORTION = 200
SAMPLES = 100
SMALL = 6 * 1024 * 1024  # growth over all that is no leak: what allocators keep


@dataclass(frozen=True, slots=True)
class Soaked:
    """`resident`: bytes after so many messages, once warm. `slope`: bytes a message."""

    messages: int
    reconnects: int
    seconds: float
    resident: Sequence[tuple[int, int]]

    @property
    def slope(self) -> float:
        return linear_regression(*zip(*self.resident, strict=True)).slope

    @property
    def growth(self) -> int:
        """Of the last tenth over the first, by their medians: one sample may be anything."""
        tenth = max(3, len(self.resident) // 10)
        values = [resident for _, resident in self.resident]
        return round(median(values[-tenth:]) - median(values[:tenth]))

    @property
    def flat(self) -> bool:
        return self.growth < SMALL

    def __str__(self) -> str:
        first, last = self.resident[0][1] / 2**20, self.resident[-1][1] / 2**20
        rate = f"{self.messages:,} messages in {self.seconds:.0f} s ({self.messages / self.seconds:.0f}/s), {self.reconnects} reconnects"
        return f"{rate}: resident {first:.1f} MiB warm, {last:.1f} MiB at the end, growth {self.growth / 2**20:.1f} MiB, slope {self.slope:.2f} bytes a message"


def resident(worker: WorkerProcess) -> int:
    """Bytes, as Linux counts them."""
    for line in Path(f"/proc/{worker.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the worker is gone")


def definition(url: str) -> dict[str, object]:
    """Updates of few records, so that the simulated Halo does not grow; every tenth message is left out by the route itself."""
    auth = {"type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    route = {"client": "main", "queue": "assets", "entity": "Asset", "concurrency": 8, "retry": ["1s"], "when": "payload.id != 10"}
    return {"clients": {"main": {"url": url, "auth": auth, "rate_limit": "none", "timeout": "10s"}}, "publishers": {"assets": route}}


async def soak(
    rabbitmq: RabbitMQ, folder: Path, messages: int, reconnects: int, say: Callable[[str], None], *, warm: float = 0.2, variables: dict[str, str] | None = None
) -> Soaked:
    """As fast as it goes. Memory is sampled after the first `warm` part of the messages."""
    url = rabbitmq.new_vhost()
    async with AsyncExitStack() as stack:
        halo = await stack.enter_async_context(serve(SandboxSettings(rate_limit=None, tickets=50)))
        proxied, proxy = await stack.enter_async_context(through_proxy(url))
        write_routes(folder, definition(halo.url))
        port = free_port()  # nothing is logged that would tell one: a line a message would fill the disk
        settings = {"shutdown_grace": GRACE, "heartbeat": HEARTBEAT, "log_level": "warning", "admin_port": port}
        began = time.monotonic()
        worker = await stack.enter_async_context(worker_process(folder, proxied, name="soaked", variables=variables, **settings))
        worker.listens_at(port)
        await until(lambda: is_ready(worker))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())  # whoever feeds it may not end in silence
        filling = tasks.create_task(fill(url, messages, say))
        stack.callback(filling.cancel)
        samples: list[tuple[int, int]] = []
        moved, last = began, 0
        cut, every, step = 0, messages / (reconnects + 1), max(1, round(messages * (1 - warm) / SAMPLES))
        while (done := await progress(worker)) < messages * 0.999:  # what is in hand at a cut may be counted by nobody
            if done > last:
                moved, last = time.monotonic(), done
            assert time.monotonic() - moved < STALLED, f"no progress after {done:,} messages; the feeder {'has ended' if filling.done() else 'is at it'}"
            if cut < reconnects and done >= every * (cut + 1):
                cut += 1
                proxy.reset()
            if done >= messages * warm and (not samples or done >= samples[-1][0] + step):
                samples.append((done, resident(worker)))
                say(f"{time.monotonic() - began:7.1f} s  {done:,} messages, {cut} reconnects, {samples[-1][1] / 2**20:.1f} MiB")
                halo.journal.clear()
            await asyncio.sleep(0.05)
        samples.append((messages, resident(worker)))
        seconds = time.monotonic() - began
        assert await worker.stop() == 0
    await asyncio.to_thread(rabbitmq.drop_vhost, url)
    return Soaked(messages, cut, seconds, samples)


async def is_ready(worker: WorkerProcess) -> bool:
    try:
        return (await worker.get("/readyz"))[0] == 200
    except aiohttp.ClientError:
        return False


async def fill(url: str, messages: int, say: Callable[[str], None]) -> None:
    """Never far ahead of the worker. What a lost broker did not confirm is sent once more."""
    start = 0
    while start < messages:
        try:
            async with open_broker(url, name="other system") as broker:
                while start < messages:
                    while (await broker.queue_depth("assets") or 0) > AHEAD:
                        await asyncio.sleep(0.1)
                    numbers = range(start, min(start + PORTION, messages))
                    bodies = [orjson.dumps({"payload": {"id": 1 + number % 10, "notes": f"note {number}"}}) for number in numbers]
                    await asyncio.gather(*(broker.publish(Message(each), routing_key="assets") for each in bodies))
                    start += PORTION
        except BrokerError as error:
            say(f"!! the feeder lost the broker after {start:,} messages: {error}")
            await asyncio.sleep(1)


async def progress(worker: WorkerProcess) -> int:
    """Messages that are done or left out; none is buried here."""
    return round(await worker.metric("messages_total"))
