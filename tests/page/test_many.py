"""The status page of a worker with 500 routes and 10,000 dead letters."""

from __future__ import annotations

import re
from pathlib import Path

import aiohttp
import pytest

from tests.end.conftest import broker, halos, other, stage  # noqa: F401 - fixtures
from tests.tools.job import client, publisher
from tests.tools.waiting import until
from worker.core.delivery_state import Death, DeliveryState
from worker.core.message import Message

ROUTES, LETTERS = 500, 10_000
TOKEN = "a-token-of-the-tests-0123456789"
SIGHT = re.compile(r"VmRSS:\s+(\d+) kB")


def resident(pid: int) -> float:
    """MB."""
    found = SIGHT.search(Path(f"/proc/{pid}/status").read_text("utf-8"))
    assert found is not None
    return int(found[1]) / 1024


async def opened(address: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        return await response.text()


@pytest.mark.long
async def test_five_hundred_routes_and_ten_thousand_letters_are_listed_in_pages_without_filling_the_memory(stage, halos, other):  # noqa: F811
    halo = await halos()
    publishers = {f"route-{number:03}": publisher(queue=f"work.{number:03}") for number in range(ROUTES)}
    worker = await stage.start({"clients": {"main": client(halo)}, "publishers": publishers}, admin_token=TOKEN)
    codec = await other.codec()
    for number in range(LETTERS):
        queue = f"work.{number % 20:03}"
        state = DeliveryState(f"m-{number:05}", f"m-{number:05}", death=Death("rejected", f"Halo answered 400: reason {number % 7}", 400, 1, "route"))
        await other.broker.publish(
            codec.copy(Message(b'{"payload": {"inventory_number": "A", "client_id": 12}}' * 8), queue, state), routing_key=f"{queue}.dead"
        )
    before = resident(worker.process.pid)
    address = f"http://127.0.0.1:{(await worker.logged('admin.listening'))['port']}"

    async def listed() -> bool:
        return "10,000 letters" in await opened(f"{address}/dead")

    await until(listed)
    assert "route-499" in await opened(f"{address}/?q=499")
    assert "Page 10 of 10" in await opened(f"{address}/?page=10")
    assert "Page 200 of 200" in await opened(f"{address}/dead?page=200")
    assert sum([await other.depth(f"work.{number:03}.dead") for number in range(20)]) == LETTERS, "all are where they were"
    assert resident(worker.process.pid) - before < 40, "for the list, the snapshot and the templates"
