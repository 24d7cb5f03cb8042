"""Gathering the evidence: each message carries a key by which it is found again, in Halo's journal and in whatever queue it came to stand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

import orjson

from tests.tools.invariants import Effect, Left
from tests.tools.job import Letter, OtherSystem
from tests.tools.rabbitmq import RabbitMQ, vhost_of
from worker.sandbox.journal import ExecutedOperation

KEY = re.compile(r"key-[a-z]+-\d+")
OURS = ("events", "halo.claims", "halo.control", "halo.echoes", "halo.keys", "halo.keys.made", "halo.ordered", "halo.status", "halo.trace", "halo.unrouted")


def keys_in(body: Any) -> set[str]:
    """The keys in a body, whatever its shape."""
    text = body.decode("utf-8", errors="replace") if isinstance(body, bytes) else orjson.dumps(body, default=str).decode()
    return set(KEY.findall(text))


def effects_of(operations: Iterable[ExecutedOperation]) -> Iterator[Effect]:
    """What the journal says that Halo carried out; the simulated Halo answers for its own users by other ways."""
    for operation in operations:
        if operation.method == "POST":
            yield from (Effect(key, bool(operation.created)) for key in keys_in(operation.body))


async def remains(rabbitmq: RabbitMQ, url: str, other: OtherSystem) -> list[Left]:
    """What is in the queues now."""
    return [left_of(queue, letter) for queue in await queues(rabbitmq, url) if is_work(queue) or queue.endswith(".dead") for letter in await other.drain(queue)]


async def queues(rabbitmq: RabbitMQ, url: str) -> list[str]:
    found = await asyncio.to_thread(rabbitmq.api.call, "GET", f"/api/queues/{quote(vhost_of(url), safe='')}?disable_stats=true")
    return sorted(queue["name"] for queue in found)


def is_work(queue: str) -> bool:
    """Whether messages for Halo travel through it: not the worker's own state, not events, not dead letters."""
    return queue not in OURS and not queue.startswith(("halo.state.", "halo.budget", "halo.dead.")) and not queue.endswith((".dead", ".lock", ".born"))


def left_of(queue: str, letter: Letter) -> Left:
    (key, *_) = sorted(keys_in(letter.message.body)) or ["a message without a key"]
    if not queue.endswith(".dead"):
        return Left(key, queue)
    crashed = "x-death" in letter.headers and "dead-class" not in letter.headers
    dead_class, reason = ("crashed", "delivered too often") if crashed else (letter.headers.get("dead-class", ""), letter.headers.get("dead-reason", ""))
    return Left(key, queue, dead=True, dead_class=str(dead_class), reason=str(reason))
