"""Sends webhook calls, each once and without retries, and deactivates a webhook that keeps failing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from time import perf_counter

import aiohttp

from worker.sandbox.simulated_halo import SimulatedHalo
from worker.sandbox.store import RecordChange
from worker.sandbox.webhook_calls import WebhookCall, webhook_calls_of

WEBHOOK_TIMEOUT = aiohttp.ClientTimeout(total=10)
SENT, FAILED = 2, 3


@asynccontextmanager
async def deliver_webhooks(halo: SimulatedHalo) -> AsyncIterator[None]:
    """Sends the calls for every changed ticket until the end of the block."""
    queue: asyncio.Queue[WebhookCall] = asyncio.Queue()

    def notice(change: RecordChange) -> None:
        for call in webhook_calls_of(halo.store, change, halo.clock(), in_array=halo.settings.webhook_arrays):
            for _ in range(halo.settings.webhook_copies):
                queue.put_nowait(call)

    halo.store.on_change(notice)
    async with aiohttp.ClientSession(timeout=WEBHOOK_TIMEOUT, auto_decompress=False) as session:
        sending = asyncio.create_task(_send_queued(halo, session, queue))
        try:
            yield
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending


async def _send_queued(halo: SimulatedHalo, session: aiohttp.ClientSession, queue: asyncio.Queue[WebhookCall]) -> None:
    failures: dict[str, int] = {}
    while True:
        call = await queue.get()
        began = perf_counter()
        status, text = await _send(session, call)
        key = str(call.webhook["id"])
        failures[key] = 0 if 0 < status < HTTPStatus.MULTIPLE_CHOICES else failures.get(key, 0) + 1
        _record(halo, call, status, text, perf_counter() - began)
        if (halo.store.get("webhook", key) or {}).get("active"):
            limit = call.webhook.get("auto_disable_attempts") or 0
            switched_off = {"active": False} if limit and failures[key] >= limit else {}
            halo.store.update("webhook", key, {"last_status": status, **switched_off})


async def _send(session: aiohttp.ClientSession, call: WebhookCall) -> tuple[int, str]:
    """The status and the beginning of the answer; without an answer, 0 and the reason."""
    try:
        async with session.post(str(call.webhook["url"]), data=call.body, headers=call.headers, allow_redirects=False) as answer:
            return answer.status, (await answer.content.read(1000)).decode(errors="replace")
    except (aiohttp.ClientError, TimeoutError) as error:
        return 0, type(error).__name__


def _record(halo: SimulatedHalo, call: WebhookCall, status: int, text: str, seconds: float) -> None:
    halo.store.create(
        "webhookevent",
        {
            "webhook_id": call.webhook["id"],
            "notification_id": call.notification,
            "status": SENT if 0 < status < HTTPStatus.MULTIPLE_CHOICES else FAILED,
            "error": not 0 < status < HTTPStatus.MULTIPLE_CHOICES,
            "responsestatus": status,
            "requestbody": call.body.decode(),
            "responsebody": text,
            "duration": round(seconds, 3),
            "timestamp": halo.clock(),
        },
    )
