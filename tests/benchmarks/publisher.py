"""The publisher path as a ratio to a bare loop of aio-pika and aiohttp with the same prefetch, against the same simulated Halo, in one run.

By hand: `python -m tests.benchmarks.publisher 2000 3 "creates, Halo answers after 0"` (messages, runs, which cases). On a busy machine read the processor time
for a message: ratios of wall time vary there from run to run.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import aio_pika
import aiohttp
import orjson

from tests.benchmarks.report import Report, Speed, Stopwatch
from tests.benchmarks.servers import HaloProcess, halo_process
from tests.tools.rabbitmq import rabbitmq
from worker.app import Service
from worker.catalogue.catalogue import load
from worker.config.routes import Client, Grant, Publisher, Routes
from worker.garbage import shorten_pauses
from worker.logs import configure
from worker.settings import load_settings

PREFETCH = 10
CREATE = {"inventory_number": "SN", "client_id": 1, "site_id": 1, "assettype_id": 1, "notes": "x" * 400}
KNOWN_ASSETS = 8
"""Assets of the simulated Halo, with ids from 1."""


@dataclass(frozen=True)
class Case:
    """`delay`: seconds that Halo takes for an answer. `least`, `aim`: the least and the wanted ratio of wall time.

    A create is claimed through the broker before it is sent, an update is not: that shows most where Halo takes no time.
    """

    name: str
    updates: bool
    delay: float
    least: float
    aim: float

    def body(self, number: int) -> bytes:
        name = {"id": number % KNOWN_ASSETS + 1} if self.updates else {}
        return orjson.dumps({"payload": CREATE | name | {"inventory_number": f"SN-{number}"}})


CASES = (
    Case("creates, Halo answers after 0 ms", updates=False, delay=0.0, least=0.4, aim=0.7),
    Case("updates, Halo answers after 0 ms", updates=True, delay=0.0, least=0.55, aim=0.85),
    Case("creates, Halo answers after 20 ms", updates=False, delay=0.02, least=0.7, aim=0.95),
    Case("updates, Halo answers after 20 ms", updates=True, delay=0.02, least=0.8, aim=0.95),
)


async def fill(url: str, queue: str, case: Case, messages: int) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        for start in range(0, messages, 500):
            await asyncio.gather(
                *(
                    channel.default_exchange.publish(aio_pika.Message(case.body(number), message_id=uuid4().hex, delivery_mode=2), queue)
                    for number in range(start, min(start + 500, messages))
                )
            )


async def bare(url: str, halo: HaloProcess, case: Case, messages: int) -> Speed:
    """Messages per second of the shortest program that does the job: no retries, no dead letters, no budget, no logs."""
    connection = await aio_pika.connect(url)
    async with connection, aiohttp.ClientSession() as session:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.declare_queue("bare", durable=True, arguments={"x-queue-type": "quorum"})
        await fill(url, "bare", case, messages)
        form = {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret", "scope": "all"}
        async with session.post(f"{halo.url}/auth/token", data=form) as answer:
            token = (await answer.json())["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        done, finished = 0, asyncio.Event()

        async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            nonlocal done
            payload = orjson.loads(message.body)["payload"]
            async with session.post(f"{halo.url}/api/Asset", data=orjson.dumps([payload]), headers=headers) as response:
                assert response.status == 201
                await response.read()
            await message.ack()
            done += 1
            if done == messages:
                finished.set()

        watch = Stopwatch()
        await queue.consume(on_message)
        await finished.wait()
        return watch.speed(messages)


async def worker(url: str, halo: HaloProcess, case: Case, messages: int) -> Speed:
    """Messages per second of the worker with everything it does."""
    client = Client("main", halo.url, Grant("client_credentials", "sandbox-client", "sandbox-secret"), rate_limit=None)
    route = Publisher("assets", "main", "work", load().find("Asset", "POST"), concurrency=PREFETCH)
    stop = asyncio.Event()
    service = Service(load_settings({"WORKER_AMQP_URL": url}), Routes({"main": client}, {}, {"assets": route}), stop)
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        arguments = {
            "x-queue-type": "quorum",
            "x-delivery-limit": 20,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": "work.dead",
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        await channel.declare_queue("work", durable=True, arguments=arguments)
    await fill(url, "work", case, messages)
    done = service.metrics.messages.labels("assets", "done")
    running = asyncio.create_task(service.run())
    while not done._value.get():
        await asyncio.sleep(0.001)
    watch, first = Stopwatch(), done._value.get()
    while done._value.get() < messages:
        await asyncio.sleep(0.01)
    speed = watch.speed(messages - int(first))
    stop.set()
    await running
    return speed


def microseconds(speed: Speed) -> float:
    """Processor time for one message, in microseconds."""
    return 1e6 / speed.cpu


def main(messages: int = 2000, runs: int = 3, only: str = "") -> bool:
    configure("info", "json", Path(os.devnull).open("w"), final=True)  # noqa: SIM115 - for the life of the process
    shorten_pauses()  # as a worker does when it starts
    shown = []
    with rabbitmq() as broker:
        for case in (case for case in CASES if only in case.name):
            report, pairs = Report("publisher path ÷ bare loop", case.least, case.aim), []
            with halo_process(tickets=10, delay=case.delay) as halo:
                for _ in range(runs):
                    there, ours = (asyncio.run(run(broker.new_vhost(), halo, case, messages)) for run in (bare, worker))
                    report.add(case.name, ours.wall, there.wall)
                    pairs.append((microseconds(ours), microseconds(there)))
            shown.append(report.show())
            mine, bares = (statistics.median(values) for values in zip(*pairs, strict=True))
            print(f"processor time for a message | {case.name}: {mine:,.0f} us, bare loop {bares:,.0f} us: {mine / bares:.2f} times", flush=True)
    return all(shown)


if __name__ == "__main__":
    given = sys.argv[1:] or ["2000"]
    raise SystemExit(0 if main(int(given[0]), *map(int, given[1:2]), *given[2:3]) else 1)
