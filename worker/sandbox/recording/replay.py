"""Serves a recording in place of the recorded Halo: reads only, with any credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from worker.sandbox.recording.exchange_file import RecordedExchange
from worker.sandbox.recording.recorder import Watch, is_report, statement_digest
from worker.sandbox.responses import json_answer
from worker.sandbox.server import MAX_REQUEST_BYTES, listen

PAGE = "page_no"
TOKEN = {"access_token": "token-of-a-recording", "token_type": "Bearer", "expires_in": 3600, "scope": "all"}


class ReplayServer:
    """Answers with the recorded exchange that is most similar to the request."""

    def __init__(self, exchanges: Iterable[RecordedExchange], watch: Watch) -> None:
        self._watch = watch
        self._by_path: dict[tuple[str, str], list[RecordedExchange]] = {}
        for each in exchanges:
            self._by_path.setdefault((each.method, each.path.lower().rstrip("/")), []).append(each)

    def application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_REQUEST_BYTES)
        application.router.add_route("*", "/{path:.*}", self._handle)
        return application

    async def _handle(self, request: web.Request) -> web.Response:
        answer = await self._answer(request)
        self._watch(request.method, request.path, answer.status)
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        path, origin = request.path.lower().rstrip("/"), str(request.url.origin())
        if path == "/auth/token":
            return json_answer(TOKEN)
        if path == "/api/authinfo":
            return json_answer({"auth_url": f"{origin}/auth", "token_url": f"{origin}/auth/token", "tenant_id": None})
        path = path.removeprefix("/api")
        if request.method not in {"GET", "HEAD"} and not is_report(path):
            return json_answer({"error": "a recording answers reads only"}, status=405)
        candidates = self._by_path.get(("GET" if request.method == "HEAD" else request.method, path), [])
        if request.method == "POST":
            statement = statement_digest(await request.read())
            candidates = [each for each in candidates if each.statement == statement]
        if not candidates:
            return json_answer({"error": f"the recording has no answer to {request.method} {path}"}, status=404)
        query = {name.lower(): value for name, value in request.query.items()}
        found = best(candidates, query)
        return json_answer(found.body, status=found.status) if found is not None else json_answer(without_rows(candidates[-1].body))


def best(candidates: Iterable[RecordedExchange], query: Mapping[str, str]) -> RecordedExchange | None:
    """Return the newest of the exchanges that agree in most parameters; None if no exchange has this page, or these ids."""
    scored = [(score, number, each) for number, each in enumerate(candidates) if (score := likeness(each.query, query)) is not None]
    return max(scored, key=lambda item: item[:2])[2] if scored else None


def likeness(recorded: Mapping[str, str], query: Mapping[str, str]) -> int | None:
    """Return the similarity: agreeing parameters add, differing and one-sided parameters subtract. None if a number differs: it is a page or an id."""
    known, score = {name.lower(): value for name, value in recorded.items()}, 0
    for name in known.keys() | query.keys():
        one, other = known.get(name, ""), query.get(name, "")
        if one == other:
            score += 2
        elif (one.isdecimal() and other.isdecimal()) or (name == PAGE and {one, other} != {"", "1"}):
            return None
        elif not one.startswith("Text "):  # a replaced text matches any text
            score -= 1
    return score


def without_rows(body: Any) -> Any:
    """Return an empty page of the same list."""
    if isinstance(body, dict):
        return {name: [] if isinstance(value, list) else value for name, value in body.items()}
    return [] if isinstance(body, list) else None


@asynccontextmanager
async def replay(exchanges: Iterable[RecordedExchange], host: str, port: int, watch: Watch) -> AsyncIterator[str]:
    """Run a replay; yields its address."""
    async with listen(ReplayServer(exchanges, watch).application(), host, port) as url:
        yield url
