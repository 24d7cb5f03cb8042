"""Intercepts requests before the transport and holds writes back. The same code makes them, so a plan shows the requests that would go to the network."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from yarl import URL

from worker.config.routes import Client
from worker.core.answers import Answers
from worker.core.errors import Undecodable
from worker.core.exact_numbers import loads
from worker.core.exchange import PROBE
from worker.core.json_codec import decode, encode
from worker.core.plan import PlannedRequest
from worker.halo.transport import Answer, Call, Failure, Send

JSON = {"content-type": "application/json"}
NO_HEADERS: Mapping[str, str] = {}
CREATED = 201
NOT_FOUND = 404
Intercept = Callable[[str, Send, str], Send]
"""Makes a `Send` from the address of an API, the `Send` to the network, and the name of the query parameter that holds a credential."""


def no_interception(_base: str, send: Send, _credential: str = "") -> Send:
    """Intercept nothing."""
    return send


@dataclass
class RequestRecorder:
    """Records the requests of clients and integrations. `reads`: reads go to the network. `strict`: a request without an answer is a mistake of the example.

    `unanswered`: reads and methods without an answer from the network or `answers`; a list without an answer is empty.
    """

    reads: bool = False
    strict: bool = False
    answers: Answers = field(default_factory=Answers)
    requests: list[PlannedRequest] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    def begin(self, answers: Answers | None = None) -> None:
        """Discard the recorded requests, before the next input."""
        self.requests, self.unanswered, self.answers = [], [], answers or Answers()

    def intercept(self, base: str, send: Send, credential: str = "") -> Send:
        """Implements `Intercept`."""
        prefix = URL(base, encoded=True).raw_path.rstrip("/")

        async def held(call: Call) -> Answer | Failure:
            asked = self.reads and call.method == "GET"
            path = call.url.raw_path.removeprefix(prefix)
            if path == PROBE.path and dict(call.url.query) == PROBE.query and not asked:
                return Answer(200, JSON, b"[]", local=True)
            self.requests.append(planned_request(call, path, credential, asked=asked))
            return await send(call) if asked else self._answer(call, path)

        return held

    def _answer(self, call: Call, path: str) -> Answer:
        if (canned := self.answers.take(call.method, path, call.name)) is not None:
            return local_answer(canned.status, canned.body, canned.headers)
        if call.method == "GET" or call.name:
            self.unanswered.append(call.name or f"{call.method} {path}")
            return local_answer(NOT_FOUND if self.strict else 200, [] if call.method == "GET" else None)
        return local_answer(CREATED, last_record(call.data))


def planned_request(call: Call, path: str, credential: str, *, asked: bool) -> PlannedRequest:
    """The request without its credentials."""
    url = call.url.without_query_params(credential) if credential else call.url
    query = {name: found[0] if len(found := url.query.getall(name)) == 1 else found for name in url.query}
    shown = str(url) if call.name else ""
    return PlannedRequest(call.method, path, query, url.raw_path_qs, call.data, planned_body(call), asked, call.name, shown, call.customer)


def planned_body(call: Call) -> Any:
    """The body as a JSON value that encodes to the same bytes; as text if it is not JSON."""
    if call.data is None:
        return None
    if any(name.lower() == "content-type" and value.startswith("application/json") for name, value in call.headers.items()):
        return loads(call.data)
    return call.data.decode(errors="replace")


def last_record(data: bytes | None) -> Any:
    """Halo's answer to a write: the last record as it was sent."""
    try:
        sent = None if data is None else decode(data)
    except Undecodable:
        return None
    return sent[-1] if isinstance(sent, list) and sent else sent


def local_answer(status: int, body: Any, headers: Mapping[str, str] = NO_HEADERS) -> Answer:
    return Answer(status, {**JSON, **headers}, b"" if body is None else encode(body), local=True, cookies=cookies_of(headers.get("set-cookie", "")))


def cookies_of(text: str) -> dict[str, str]:
    """The cookie that one `Set-Cookie` sets."""
    name, equals, value = text.partition(";")[0].partition("=")
    return {name.strip(): value.strip()} if equals else {}


def offline_client(client: Client) -> Client:
    """The client without a budget and without discovery: nothing that it sends leaves this machine."""
    return replace(client, rate_limit=None, token_url=client.token_url or "https://offline.invalid/token")


@asynccontextmanager
async def offline_transport(_client: Client) -> AsyncIterator[Send]:
    """A transport that answers every request with a token: it gets only token requests."""

    async def send(_call: Call) -> Answer | Failure:
        return Answer(200, JSON, encode({"access_token": "offline", "expires_in": 30 * 86400}))

    yield send
