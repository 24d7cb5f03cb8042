"""Measures a scan of 100,000 known records by content: speed, ratio to a bare loop that fetches and parses the same pages, and memory."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import orjson

from tests.benchmarks.replay import replaying
from tests.benchmarks.report import Report, Speed, Stopwatch
from tests.benchmarks.servers import halo_process
from worker.app import Service
from worker.broker.memory import MemoryServer
from worker.catalogue.catalogue import load
from worker.config.routes import Client, Grant, Routes, Subscriber
from worker.garbage import shorten_pauses
from worker.logs import configure
from worker.settings import load_settings

LEAST, AIM = 0.17, 0.3  # of processor time; a scan that rebuilt each row for its hash had 0.13
WANTED = 50_000  # records per second of wall time on an idle machine
MOST_MEGABYTES = 120


async def token(session: aiohttp.ClientSession, url: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret", "scope": "all"}
    async with session.post(f"{url}/auth/token", data=form) as answer:
        value: str = (await answer.json())["access_token"]
        return value


async def bare(url: str, records: int) -> Speed:
    """Measure fetching and parsing every page, one at a time."""
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {await token(session, url)}"}
        watch, rows = Stopwatch(), 0
        for page in range(1, records // 100 + 1):
            query = {"pageinate": "true", "page_size": "100", "page_no": str(page), "order": "id", "orderdesc": "false"}
            async with session.get(f"{url}/api/Tickets", params=query, headers=headers) as answer:
                rows += len(orjson.loads(await answer.read())["tickets"])
        assert rows == records
        return watch.speed(records)


async def worker(url: str, records: int) -> Speed:
    """Measure a subscriber's second scan, in which every record is known and unchanged."""
    client = Client("main", url, Grant("client_credentials", "sandbox-client", "sandbox-secret"), rate_limit=None)
    route = Subscriber("tickets", "main", load().find("Tickets", "GET"), every=0.1, changes="by_content", start="now")
    stop = asyncio.Event()
    service = Service(load_settings({"WORKER_AMQP_URL": "memory://"}), Routes({"main": client}, {"tickets": route}), stop, memory=MemoryServer())
    polls = service.metrics.polls.labels("tickets", "complete")
    pages = service.metrics.pages.labels("tickets")
    running = asyncio.create_task(service.run())
    while not polls._value.get():
        await asyncio.sleep(0.01)
    first = pages._value.get()
    while pages._value.get() == first:
        await asyncio.sleep(0.001)
    watch = Stopwatch()
    while polls._value.get() < 2:
        await asyncio.sleep(0.01)
    speed = watch.speed(records)
    stop.set()
    await running
    return speed


def measure(sender: Connection, url: str, records: int) -> None:
    configure("info", "json", Path(os.devnull).open("w"), final=True)  # noqa: SIM115 - for the life of the process
    shorten_pauses()  # as a worker does when it starts
    speed = asyncio.run(worker(url, records))
    sender.send((speed, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main(records: int = 100_000) -> bool:
    report = Report("scan by content ÷ bare fetch and parse", LEAST, AIM)
    peak = 0.0
    spawn = multiprocessing.get_context("spawn")  # memory is measured in a process that did nothing else
    with halo_process(tickets=records) as halo, replaying(halo.url) as url:
        asyncio.run(bare(url, records))  # fills the memory of the replaying server
        for _ in range(3):
            there = asyncio.run(bare(url, records))
            receiver, sender = spawn.Pipe(duplex=False)
            process = spawn.Process(target=measure, args=(sender, url, records))
            process.start()
            ours, megabytes = receiver.recv()
            process.join()
            peak = max(peak, megabytes)
            print(f"bare {there} | worker {ours} (wanted {WANTED:,}/s)", flush=True)
            report.add(f"{records:,} records", ours.cpu, there.cpu)
    print(f"peak memory {peak:.0f} MB (most {MOST_MEGABYTES})", flush=True)
    return report.show() and peak <= MOST_MEGABYTES


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
