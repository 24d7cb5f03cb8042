"""One dead letter on the status page: what it holds, in bounded time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.flows.dead.conftest import DEAD_QUEUE
from worker.app.letters.context import LettersContext
from worker.app.page import letter_content
from worker.app.page.letter_content import MAX_BODY, read_letter_content
from worker.app.page.letter_index import LetterIndex
from worker.config.loader import load_routes
from worker.core.clock import SystemClock
from worker.core.header_codec import HeaderCodec
from worker.core.message import Message
from worker.settings import Settings
from worker.web.page.model import LetterContent

ROUTE = """
clients: {main: {url: "http://127.0.0.1:9", auth: {type: client_credentials, client_id: a, client_secret: b, scopes: [all]}}}
publishers: {erp: {client: main, queue: assets, method: POST, entity: Asset}}
"""


@pytest.fixture
def context(tmp_path: Path) -> LettersContext:
    (tmp_path / "a.yaml").write_text(ROUTE)
    return LettersContext(Settings(), load_routes(tmp_path, {}, tmp_path), (DEAD_QUEUE,), SystemClock(), HeaderCodec(b"k" * 32))


@pytest.fixture
async def content(place, context):
    async def of(body: bytes) -> LetterContent:
        headers = {"dead-class": "rejected", "dead-reason": "no", "dead-at": "2026-03-01T12:00:00Z"}
        await place.other.broker.publish(Message(body, headers, message_id="m"), routing_key=DEAD_QUEUE.name)
        [row] = (await LetterIndex(SystemClock(), context.codec).read(place.broker, [DEAD_QUEUE])).rows
        found = await read_letter_content(place.broker, SystemClock(), context, row)
        assert found is not None
        return found

    return of


async def test_a_letter_is_shown_with_its_body_and_can_be_edited(content):
    found = await content(b'{"payload": {"a": 1}}')
    assert json.loads(found.body) == json.loads(found.editable) == {"payload": {"a": 1}}


async def test_a_body_too_large_for_a_page_is_neither_masked_nor_written_out(content, monkeypatch):
    """Doing so took seconds for 16 MB, in which the worker did nothing else."""
    whole = json.dumps([{"i": number} for number in range(MAX_BODY // 9)]).encode()
    assert len(whole) > MAX_BODY
    seen: list[int] = []
    original = letter_content.headers_and_body

    def watched(letter, message, *, reveal):
        seen.append(len(message.body))
        return original(letter, message, reveal=reveal)

    monkeypatch.setattr(letter_content, "headers_and_body", watched)
    found = await content(whole)
    assert found.body == f"({len(whole):,} bytes, too large for this page: `halo-worker dead show --json`)"
    assert (found.editable, max(seen) < 10) == ("", True)
    assert found.plan.startswith("A replay puts it back into assets")


async def test_the_worker_goes_on_while_a_letter_is_prepared(content, monkeypatch):
    loop, threads = asyncio.get_running_loop(), []
    original = letter_content.described_letter

    def watched(*arguments):
        threads.append(asyncio._get_running_loop() is loop)
        return original(*arguments)

    monkeypatch.setattr(letter_content, "described_letter", watched)
    await content(b"{}")
    assert threads == [False]
