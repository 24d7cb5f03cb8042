"""The resource server: one request to /api, from token to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from worker.catalogue.operation import Body
from worker.sandbox.attachments import attachment_file, stored_attachment
from worker.sandbox.binding import Unbound, read
from worker.sandbox.filters import BadSearch, BadValue
from worker.sandbox.halo import Halo
from worker.sandbox.journal import Executed, Received
from worker.sandbox.limits import limit_text
from worker.sandbox.listing import list_answer
from worker.sandbox.members import types_of
from worker.sandbox.oddities import odd_answer, open_answer
from worker.sandbox.paths import Match, NoSuchMethod, NoSuchPath, published_paths
from worker.sandbox.profiles import profile_of
from worker.sandbox.reading import Reading
from worker.sandbox.rendering import answer_row, detail_row
from worker.sandbox.responses import empty, json_answer, refusal_answer
from worker.sandbox.scopes import permits
from worker.sandbox.table import Key, Row
from worker.sandbox.tokens import Grant
from worker.sandbox.writing import NoSuchKey, Written, parse_key, write

CHALLENGE = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
JSON_TYPES = frozenset({"application/json", "text/json", "application/json-patch+json"})


@dataclass(frozen=True, slots=True)
class Call:
    """A request that may be carried out."""

    request: web.Request
    received: Received
    match: Match
    reading: Reading
    grant: Grant

    @property
    def query(self) -> Mapping[str, str]:
        return self.reading.query


class Api:
    """Answers what arrives below /api."""

    def __init__(self, halo: Halo) -> None:
        self._halo = halo

    async def answer(self, request: web.Request, received: Received, reading: Reading) -> web.StreamResponse:
        halo, path = self._halo, request.rel_url.raw_path[len("/api") :]
        opened = open_answer(halo, request.method, path.lower(), str(request.url.origin()))
        if opened is not None:
            return opened
        try:
            match = published_paths().match(request.method, path)
        except NoSuchPath:
            return empty(404)
        except NoSuchMethod:
            return empty(405)
        grant = self._grant(request)
        if grant is None:
            return empty(401, CHALLENGE)
        stopped = self._limited() or self._gate(grant, match) or odd_answer(halo, grant, match, reading.query)
        return stopped or await self._carry_out(Call(request, received, match, reading, grant))

    def _grant(self, request: web.Request) -> Grant | None:
        token = request.headers.get("Authorization", "")
        return self._halo.tokens.grant(token[7:]) if token.lower().startswith("bearer ") else None

    def _gate(self, grant: Grant, match: Match) -> web.Response | None:
        operation = match.operation
        return None if permits(grant.scopes, operation.resource, write=operation.method != "GET") else empty(403)

    def _limited(self) -> web.Response | None:
        halo, settings = self._halo, self._halo.settings
        if halo.limits.admit(halo.now().timestamp(), settings.rate_limit, settings.rate_window, counts_refused=settings.limit_counts_refused):
            return None
        answer = refusal_answer(limit_text(settings.rate_limit or 0, settings.rate_window), settings.limit_wrapper, 429)
        if settings.retry_after is not None:
            answer.headers["Retry-After"] = str(settings.retry_after)
        return answer

    async def _carry_out(self, call: Call) -> web.StreamResponse:
        match call.request.method:
            case "GET" if call.match.operation.listing is not None:
                return self._list(call)
            case "GET":
                return self._one(call)
            case "POST":
                return await self._post(call)
            case _:
                return self._delete(call)

    def _list(self, call: Call) -> web.Response:
        halo = self._halo
        try:
            answer = list_answer(halo.store, halo.settings, call.match, call.reading)
        except BadValue as bad:
            return json_answer(bad.errors, 400)
        except BadSearch:
            return refusal_answer("Invalid advanced search parameter", halo.settings.error_wrapper)
        self._note(call)
        return json_answer(answer)

    def _one(self, call: Call) -> web.StreamResponse:
        match = call.match
        key, row = self._found(match, call.query)
        if key is None:
            return self._malformed(match)
        if row is None:
            return empty(404)
        self._note(call)
        details = call.query.get("includedetails", "").lower() == "true"
        if match.table == "attachment" and not details:
            return attachment_file(row)
        return json_answer(detail_row(row, profile_of(match.table), nested=details))

    def _delete(self, call: Call) -> web.Response:
        match = call.match
        key, row = self._found(match, call.query)
        if key is None:
            return self._malformed(match)
        if row is None:
            return empty(404)
        self._halo.store.delete(match.table, key, _scope(match, call.query))
        self._note(call, deleted=(row["id"],))
        return json_answer(detail_row(row, profile_of(match.table), nested=False))

    def _found(self, match: Match, query: Mapping[str, str]) -> tuple[Key | None, Row | None]:
        try:
            key = parse_key(self._halo.store, match)
        except NoSuchKey:
            return "", None
        scope, profile = _scope(match, query), profile_of(match.table)
        scope_missing = profile.scope is not None and profile.scope == profile.needs and not scope
        if key is None or scope_missing or key in self._halo.store.hidden.get(match.table, ()):
            return key, None
        return key, self._halo.store.get(match.table, key, scope)

    def _malformed(self, match: Match) -> web.Response:
        name, value = next(iter(match.values.items()), ("id", ""))
        return json_answer({name: [f"The value '{value}' is not valid."]}, 400)

    async def _post(self, call: Call) -> web.Response:
        halo, operation = self._halo, call.match.operation
        body = await call.request.read()
        if operation.body is Body.MULTIPART:
            self._note(call)
            return json_answer({}, halo.settings.post_status)
        kind = call.request.content_type.lower()
        if kind not in JSON_TYPES and not kind.endswith("+json"):
            return empty(415)
        try:
            records = read(body, types_of(operation.path), array=operation.body is Body.ARRAY, accepts_object=halo.settings.accepts_object)
        except Unbound as unbound:
            return json_answer(unbound.errors, 400)
        if any(not record.get("id") for record in records) and not await self._create_in_time(call.match.table):
            return empty(500)
        moment = halo.clock()
        done = self._write(call.match, records, moment)
        if done.rows:
            self._note(call, orjson.loads(body), tuple(done.created), tuple(done.updated))
        if done.refused is not None:
            return refusal_answer(done.refused, halo.settings.error_wrapper)
        shown = [answer_row(row, profile_of(call.match.table), moment) for row in done.rows]
        return json_answer(self._shaped(shown, call.query), halo.settings.post_status)

    def _write(self, match: Match, records: Sequence[Mapping[str, Any]], moment: datetime) -> Written:
        if match.table == "attachment":
            records = [stored_attachment(record) for record in records]
        return write(self._halo.store, self._halo.settings, match.table, records, moment)

    async def _create_in_time(self, table: str) -> bool:
        """Waits as long as a create takes. False when it was a ticket's and another came in between, and this Halo cannot bear that."""
        halo = self._halo
        if table != "tickets":
            await _wait(halo.settings.create_seconds)
            return True
        alone = halo.creating_tickets == 0
        halo.creating_tickets += 1
        try:
            await _wait(halo.settings.create_seconds)
        finally:
            halo.creating_tickets -= 1
        return alone or not halo.settings.tickets_race

    def _shaped(self, rows: list[Row], query: Mapping[str, str]) -> Any:
        """The last record alone, unless all were asked for."""
        if query.get("returnall", "").lower() == "true" or not rows:
            return rows
        return rows[-1:] if self._halo.settings.answers_array else rows[-1]

    def _note(self, call: Call, body: Any = None, created: tuple[Key, ...] = (), updated: tuple[Key, ...] = (), deleted: tuple[Key, ...] = ()) -> None:
        received = call.received
        entry = Executed(
            number=received.number,
            time=self._halo.now(),
            method=received.method,
            path=received.path[len("/api") :],
            query=received.query,
            body=body,
            client_id=call.grant.client_id,
            correlation=received.correlation,
            created=created,
            updated=updated,
            deleted=deleted,
        )
        self._halo.journal.operations.append(entry)


def _scope(match: Match, query: Mapping[str, str]) -> int | None:
    scope = profile_of(match.table).scope
    value = query.get(scope, "") if scope else ""
    return int(value) if value.lstrip("-").isdigit() else None


async def _wait(seconds: float) -> None:
    if seconds:
        await asyncio.sleep(seconds)
