"""A fake completions API with the one endpoint that the sample runbook calls: it answers every question with a sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hmac import compare_digest

from aiohttp import web
from yarl import URL

from worker.sandbox.server import listen


@dataclass
class FakeCompletionsApi:
    """`url`: the base URL. `asked`: every answered question."""

    key: str
    url: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The host and port, as `allow_hosts` expects them."""
        return URL(self.url).authority

    async def answer(self, request: web.Request) -> web.Response:
        if not compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {self.key}".encode()):
            return web.json_response({"error": {"message": "Incorrect API key provided", "type": "invalid_request_error"}}, status=401)
        asked = await request.json()
        messages = asked.get("messages") if isinstance(asked, dict) else None
        if not isinstance(messages, list) or not messages:
            return web.json_response({"error": {"message": "'messages' is a required property", "type": "invalid_request_error"}}, status=400)
        question = str(messages[-1].get("content"))
        self.asked.append(question)
        reply = {"role": "assistant", "content": f"About “{question}”: have you tried turning it off and on again?"}
        choices = [{"index": 0, "message": reply, "finish_reason": "stop"}]
        return web.json_response({"id": f"chatcmpl-{len(self.asked)}", "object": "chat.completion", "model": asked.get("model"), "choices": choices})


@asynccontextmanager
async def serve_completions(key: str = "sandbox-key", *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[FakeCompletionsApi]:
    """Serves until the end of the block. `port` 0: any free port."""
    completions = FakeCompletionsApi(key)
    application = web.Application()
    application.router.add_post("/v1/chat/completions", completions.answer)
    async with listen(application, host, port) as address:
        completions.url = f"{address}/v1"
        yield completions
