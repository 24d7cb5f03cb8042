"""The resource server: answers one request to /api, from the token check to the response."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from aiohttp import web

from worker.catalogue.operation import Body
from worker.core.exact_numbers import loads
from worker.sandbox.attachments import attachment_file
from worker.sandbox.binding import BindingError, bind_body
from worker.sandbox.journal import ExecutedOperation, ReceivedRequest
from worker.sandbox.list_query import BadSearch, BadValue, ListQuery
from worker.sandbox.listing import list_answer
from worker.sandbox.paths import MethodNotPublished, PathMatch, PathNotPublished, published_paths
from worker.sandbox.profiles import profile_of
from worker.sandbox.rate_limiter import refuse_over_limit
from worker.sandbox.record_lookup import RecordMissing, find_record
from worker.sandbox.record_schema import post_members
from worker.sandbox.rendering import answer_row, detail_row
from worker.sandbox.reports import report_answer
from worker.sandbox.responses import json_answer, refusal_answer
from worker.sandbox.runbook_starts import start_runbook, started_runbook
from worker.sandbox.scopes import permits
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.sandbox.special_endpoints import public_answer, special_answer
from worker.sandbox.table import Key, Row
from worker.sandbox.tokens import AccessToken
from worker.sandbox.validation import deletion_error
from worker.sandbox.write_operations import write_records

CHALLENGE = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
VOID = "/Invoice/{id}/void"
JSON_TYPES = frozenset({"application/json", "text/json", "application/json-patch+json"})


@dataclass(frozen=True, slots=True)
class AuthorizedRequest:
    """A request with a valid token, a sufficient scope and budget."""

    request: web.Request
    received: ReceivedRequest
    match: PathMatch
    list_query: ListQuery
    grant: AccessToken

    @property
    def query(self) -> Mapping[str, str]:
        return self.list_query.parameters


class Api:
    """Answers requests to /api."""

    def __init__(self, halo: SimulatedHalo) -> None:
        self._halo = halo

    async def answer(self, request: web.Request, received: ReceivedRequest, query: ListQuery) -> web.StreamResponse:
        halo, path = self._halo, request.rel_url.raw_path[len("/api") :]
        grant = self._find_token(request)
        if (runbook := started_runbook(request.method, path)) is not None:
            return await start_runbook(halo, runbook, request, grant)
        public = public_answer(halo, request.method, path.lower(), str(request.url.origin()))
        if public is not None:
            return public
        try:
            match = published_paths().match(request.method, path)
        except PathNotPublished:
            return web.Response(status=404)
        except MethodNotPublished:
            return web.Response(status=405)
        if grant is None:
            return web.Response(status=401, headers=CHALLENGE)
        stopped = self._check_limit() or self._check_scope(grant, match) or special_answer(halo, grant, match, query.parameters)
        return stopped or await self._carry_out(AuthorizedRequest(request, received, match, query, grant))

    def _find_token(self, request: web.Request) -> AccessToken | None:
        tokens, token = self._halo.tokens, request.headers.get("Authorization", "")
        if token.lower().startswith("bearer "):
            return tokens.grant(token[7:])
        return tokens.api_key(self._halo.settings, request.headers.get("X-Halo-Api-Key", ""))

    def _check_scope(self, grant: AccessToken, match: PathMatch) -> web.Response | None:
        operation = match.operation
        return None if permits(grant.scopes, operation.resource, write=operation.method != "GET") else web.Response(status=403)

    def _check_limit(self) -> web.Response | None:
        halo, settings = self._halo, self._halo.settings
        refused = refuse_over_limit(halo.rate_limiter, halo.now(), settings)
        if refused is not None and settings.retry_after is not None:
            refused.headers["Retry-After"] = str(settings.retry_after)
        return refused

    async def _carry_out(self, call: AuthorizedRequest) -> web.StreamResponse:
        try:
            match call.request.method:
                case "GET" if call.match.operation.listing is not None:
                    return self._list(call)
                case "GET":
                    return await self._one(call)
                case "POST" if call.match.operation.path == VOID:
                    return self._void(call)
                case "POST":
                    return await self._post(call)
                case _:
                    return self._delete(call)
        except RecordMissing as missing:
            return missing.answer

    def _list(self, call: AuthorizedRequest) -> web.Response:
        halo = self._halo
        try:
            answer = list_answer(halo.store, halo.settings, call.match, call.list_query)
        except BadValue as bad:
            return json_answer(bad.errors, 400)
        except BadSearch:
            return refusal_answer("Invalid advanced search parameter", halo.settings.error_wrapper)
        self._log_operation(call)
        return json_answer(answer)

    async def _one(self, call: AuthorizedRequest) -> web.StreamResponse:
        match = call.match
        row = find_record(self._halo.store, match, call.query).row
        self._log_operation(call)
        details = call.query.get("includedetails", "").lower() == "true"
        if match.table == "attachment" and not details:
            return attachment_file(row)
        shown = detail_row(row, profile_of(match.table), nested=details)
        if match.table == "report" and call.query.get("loadreport", "").lower() == "true":
            return await report_answer(self._halo, shown)
        return json_answer(shown)

    def _delete(self, call: AuthorizedRequest) -> web.Response:
        halo, match = self._halo, call.match
        found = find_record(halo.store, match, call.query)
        refused = deletion_error(match.table, found.row)
        if refused is not None:
            return refusal_answer(refused, halo.settings.error_wrapper)
        halo.store.delete(match.table, found.key, found.scope)
        self._log_operation(call, deleted=(found.row["id"],))
        return json_answer(detail_row(found.row, profile_of(match.table), nested=False))

    def _void(self, call: AuthorizedRequest) -> web.Response:
        """Voids an invoice. Halo takes no body here."""
        halo, match = self._halo, replace(call.match, table="invoice")
        found, moment = find_record(halo.store, match, call.query), halo.clock()
        row = halo.store.update("invoice", found.key, {"voided": True}, moment)
        self._log_operation(call, updated=(found.key,))
        return json_answer(answer_row(row, profile_of("invoice"), moment), halo.settings.post_status)

    async def _post(self, call: AuthorizedRequest) -> web.Response:
        halo, operation = self._halo, call.match.operation
        body = await call.request.read()
        call.received.body_digest = sha256(body).hexdigest()
        if operation.body is Body.MULTIPART:
            self._log_operation(call)
            return json_answer({}, halo.settings.post_status)
        kind = call.request.content_type.lower()
        if operation.body is None and not body:
            body, kind = b"{}", "application/json"
        if kind not in JSON_TYPES and not kind.endswith("+json"):
            return web.Response(status=415)
        try:
            records = bind_body(body, post_members(operation.path), array=operation.body is Body.ARRAY, accepts_object=halo.settings.accepts_object)
        except BindingError as unbound:
            return json_answer(unbound.errors, 400)
        if call.match.table == "report" and records and records[-1].get("_loadreportonly"):
            self._log_operation(call, loads(body))
            return await report_answer(halo, records[-1])
        if any(not record.get("id") for record in records) and not await self._create_in_time(call.match.table):
            return web.Response(status=500)
        moment = halo.clock()
        done = write_records(halo.store, halo.settings, call.match.table, records, moment)
        if done.rows:
            self._log_operation(call, loads(body), tuple(done.created), tuple(done.updated))
        if done.refused is not None:
            return refusal_answer(done.refused, halo.settings.error_wrapper)
        shown = [answer_row(row, profile_of(call.match.table), moment) for row in done.rows]
        return json_answer(self._shaped(shown, call.query), halo.settings.post_status)

    async def _create_in_time(self, table: str) -> bool:
        """Waits `create_seconds`. False if `tickets_race` is set and this create of a ticket overlaps another one."""
        halo, is_ticket = self._halo, table == "tickets"
        alone = not is_ticket or halo.creating_tickets == 0
        halo.creating_tickets += is_ticket
        try:
            if halo.settings.create_seconds:
                await asyncio.sleep(halo.settings.create_seconds)
        finally:
            halo.creating_tickets -= is_ticket
        return alone or not halo.settings.tickets_race

    def _shaped(self, rows: list[Row], query: Mapping[str, str]) -> Any:
        """The last record only, unless the request has `returnall`."""
        if query.get("returnall", "").lower() == "true" or not rows:
            return rows
        return rows[-1:] if self._halo.settings.answers_array else rows[-1]

    def _log_operation(
        self, call: AuthorizedRequest, body: Any = None, created: tuple[Key, ...] = (), updated: tuple[Key, ...] = (), deleted: tuple[Key, ...] = ()
    ) -> None:
        received = call.received
        entry = ExecutedOperation(
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
