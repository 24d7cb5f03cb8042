"""The publisher path as a ratio to a bare loop of aio-pika and aiohttp with the same prefetch, against the same simulated Halo, in one run."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from uuid import uuid4

import aio_pika
import aiohttp
import orjson

from tests.benchmarks.report import Report
from tests.benchmarks.servers import HaloProcess, halo_process
from tests.tools.rabbitmq import rabbitmq
from worker.app import Service
from worker.catalogue.catalogue import load
from worker.config.routes import Client, Grant, Publisher, Routes
from worker.logs import configure
from worker.settings import load_settings

PREFETCH = 10
CASES = ((0.0, 0.4, 0.6), (0.02, 0.8, 0.95))
"""Seconds that Halo takes for an answer, and the least and the wanted ratio. A create is claimed through the broker before it is sent: that shows most where Halo takes no time."""


def body(number: int) -> bytes:
    record = {"inventory_number": f"SN-{number}", "client_id": 1, "site_id": 1, "assettype_id": 1, "notes": "x" * 400}
    return orjson.dumps({"payload": record})


async def fill(url: str, queue: str, messages: int) -> None:
    connection = await aio_pika.connect(url)
    async with connection:
        channel = await connection.channel()
        for start in range(0, messages, 500):
            await asyncio.gather(
                *(
                    channel.default_exchange.publish(aio_pika.Message(body(number), message_id=uuid4().hex, delivery_mode=2), queue)
                    for number in range(start, min(start + 500, messages))
                )
            )


async def bare(url: str, halo: HaloProcess, messages: int) -> float:
    """Messages per second of the shortest program that does the job: no retries, no dead letters, no budget, no logs."""
    connection = await aio_pika.connect(url)
    async with connection, aiohttp.ClientSession() as session:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.declare_queue("bare", durable=True, arguments={"x-queue-type": "quorum"})
        await fill(url, "bare", messages)
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

        started = time.perf_counter()
        await queue.consume(on_message)
        await finished.wait()
        return messages / (time.perf_counter() - started)


async def worker(url: str, halo: HaloProcess, messages: int) -> float:
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
    await fill(url, "work", messages)
    done = service.metrics.messages.labels("assets", "done")
    running = asyncio.create_task(service.run())
    while not done._value.get():
        await asyncio.sleep(0.001)
    started, first = time.perf_counter(), done._value.get()
    while done._value.get() < messages:
        await asyncio.sleep(0.002)
    seconds = time.perf_counter() - started
    stop.set()
    await running
    return (messages - first) / seconds


def main(messages: int = 2000) -> bool:
    configure("info", "json", Path(os.devnull).open("w"), final=True)  # noqa: SIM115 - for the life of the process
    reports = []
    with rabbitmq() as broker:
        for delay, least, aim in CASES:
            report = Report("publisher path ÷ bare loop", least, aim)
            with halo_process(tickets=10, delay=delay) as halo:
                for _ in range(3):
                    there, ours = (asyncio.run(run(broker.new_vhost(), halo, messages)) for run in (bare, worker))
                    report.add(f"Halo answers after {delay * 1000:.0f} ms", ours, there)
            reports.append(report)
    shown = [report.show() for report in reports]
    return all(shown)


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
