"""The worked example of Halo's guide as it stands in the sample route files: a note becomes a question, the answer becomes a note. On both brokers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import aiohttp.web
import orjson
import pytest

from tests.flows.job.conftest import Halos, Job, Running, serving
from worker.app import Service
from worker.cli.register import address_of, register_webhook
from worker.config.loader import load_routes
from worker.core.topology import dead_queue
from worker.flows.running.run_message import run_queue
from worker.sandbox.fake_completions_api import FakeCompletionsApi, serve_completions
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.settings import Settings

SAMPLES = Path(__file__).parents[3] / "routes"
SECRET = "planted-ask-of-the-test"
QUESTION = {"action": {"note": "Why does it not print?", "outcome": "Ask ChatGPT"}, "ticket": {"id": 7, "summary": "Printer"}}
ANSWER = "About “Why does it not print?”: have you tried turning it off and on again?"


@dataclass
class Sample:
    """The sample routes at work."""

    job: Job
    halo: SimulatedHalo
    completions: FakeCompletionsApi
    service: Service
    running: Running

    @property
    def public(self) -> str:
        return f"http://127.0.0.1:{self.service.public_port}"

    async def call(self, path: str, document: Any, secret: str = SECRET) -> tuple[int, Any]:
        """A signed call of the public port."""
        body = orjson.dumps(document)
        signature = base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
        async with aiohttp.ClientSession() as session, session.post(self.public + path, data=body, headers={"X-Signature": signature}) as answer:
            return answer.status, await answer.json()

    def notes(self) -> list[Any]:
        return [record for entry in self.halo.journal.executed("POST", "/Actions") for record in entry.body]


Play = Callable[..., Awaitable[Sample]]


@pytest.fixture
async def play(job: Job, halos: Halos) -> AsyncIterator[Play]:
    async with AsyncExitStack() as stack:

        async def start(key: str = "planted-key", **settings: Any) -> Sample:
            halo = await halos(ticket_update_needs_type=True, **settings)
            completions = await stack.enter_async_context(serve_completions("planted-key"))
            variables = {
                "HALO_URL": halo.url,
                "HALO_CLIENT_ID": halo.settings.client_id,
                "HALO_CLIENT_SECRET": halo.settings.client_secret,
                "COMPLETIONS_URL": completions.url,
                "COMPLETIONS_KEY": key,
                "COMPLETIONS_HOST": urlsplit(completions.url).netloc,
                "ASK_SECRET": SECRET,
                "HOOK_SECRET": "planted-hook-of-the-test",
            }
            routes = load_routes(SAMPLES, variables, job.folder / "secrets")
            service = Service(Settings(amqp_url=job.url, public_port=0), routes, asyncio.Event(), memory=job.server)
            running = await stack.enter_async_context(serving(service))
            await running.ready()
            return Sample(job, halo, completions, service, running)

        yield start


async def test_from_a_message_on_the_queue_to_the_note_on_the_ticket(play):
    sample = await play()
    await sample.job.other.send(QUESTION, "halo.actions.ask")
    await sample.running.settled("ask-chatgpt", "done")
    assert sample.completions.asked == ["Why does it not print?"]
    assert sample.notes() == [{"ticket_id": 7, "outcome": "Note", "note_html": ANSWER, "hiddenfromuser": True}]
    assert await sample.job.other.depth(dead_queue(run_queue("ask-chatgpt"))) == 0


async def test_from_a_signed_public_call_to_the_note_and_the_same_call_again_starts_nothing(play):
    sample = await play()
    status, answer = await sample.call("/runbooks/ask-chatgpt", QUESTION)
    assert (status, answer["accepted"]) == (202, 1)
    await sample.running.settled("ask-chatgpt", "done")
    assert (await sample.call("/runbooks/ask-chatgpt", QUESTION))[1] == {"known": 1, "runs": answer["runs"]}
    assert (await sample.call("/runbooks/ask-chatgpt", QUESTION, secret="guessed"))[0] == 401
    assert [note["note_html"] for note in sample.notes()] == [ANSWER]


async def test_from_a_note_in_halo_over_its_webhook_to_the_note_that_answers(play):
    sample = await play()
    hook = sample.service.routes.webhooks["ticket-events"]
    await register_webhook(sample.service.routes, Settings(), hook, address_of(sample.public, hook), dry_run=False, yes=True)
    sample.halo.store.create("actions", {"ticket_id": 7, "outcome": "Ask ChatGPT", "note": "Why does it not print?"})
    await sample.running.settled("ask-chatgpt", "done")
    await sample.running.until(lambda: sample.running.value("deliveries_total", route="ticket-events", result="skipped") >= 1)  # the answer is a note as well
    assert sample.completions.asked == ["Why does it not print?"]
    assert [(note["ticket_id"], note["note_html"]) for note in sample.notes()] == [(7, ANSWER)]


@pytest.mark.parametrize("payload", [{}, {"action": {"note": ""}, "ticket": {"id": 7}}, {"action": {"note": "x"}}, {"action": None}])
async def test_a_note_without_a_question_or_a_ticket_ends_in_silence(play, payload):
    sample = await play()
    await sample.job.other.send(payload, "halo.actions.ask")
    await sample.running.settled("ask-chatgpt", "done")
    assert sample.completions.asked == []
    assert sample.notes() == []


async def test_where_the_api_refuses_the_run_is_buried_and_says_so(play):
    sample = await play(key="wrong")
    await sample.job.other.send(QUESTION, "halo.actions.ask")
    letter = await sample.job.other.take(dead_queue(run_queue("ask-chatgpt")))
    assert (letter.headers["dead-class"], letter.headers["dead-reason"]) == ("failed", "no answer to the question on ticket 7")
    assert sample.notes() == []


@pytest.mark.parametrize("content", [None, ""])
async def test_an_answer_without_words_is_no_answer(play, content, monkeypatch):
    async def answer(self: FakeCompletionsApi, request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.json_response({"choices": [{"message": {"role": "assistant", "content": content}}]})

    monkeypatch.setattr(FakeCompletionsApi, "answer", answer)
    sample = await play()
    await sample.job.other.send(QUESTION, "halo.actions.ask")
    letter = await sample.job.other.take(dead_queue(run_queue("ask-chatgpt")))
    assert letter.headers["dead-reason"] == "no answer to the question on ticket 7"


async def test_a_ticket_that_is_marked_as_spam_keeps_its_type_and_customer(play):
    sample = await play()
    sample.halo.store.update("tickets", 7, {"tickettype_id": 3, "client_id": 2, "summary": "Buy now"})
    await sample.job.other.send({"ticket": {"id": 7, "summary": "Buy now"}}, "halo.actions.spam")
    await sample.running.settled("mark-as-spam", "done")
    ticket = sample.halo.store.get("tickets", 7)
    assert (ticket["summary"], ticket["status_id"], ticket["tickettype_id"], ticket["client_id"]) == ("[spam] Buy now", 9, 3, 2)
    [update] = sample.halo.journal.executed("POST", "/Tickets")
    assert update.body == [{"id": 7, "summary": "[spam] Buy now", "status_id": 9, "tickettype_id": 3, "client_id": 2}]
