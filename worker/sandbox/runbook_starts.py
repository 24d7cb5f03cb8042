"""Starts of Halo's own runbooks, by any caller of their public URL or by an application with a form."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from hmac import compare_digest
from typing import Any

from aiohttp import web

from worker.sandbox.responses import json_answer, refusal_answer
from worker.sandbox.runbooks.runs import start
from worker.sandbox.scopes import permits
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.sandbox.table import Row
from worker.sandbox.tokens import AccessToken

RUNBOOK, PUBLIC = 1, 1
BASIC, SIGNATURE = 1, 3
HEX = 1
PATH = re.compile(r"/automation/(?P<id>[^/]+)/?", re.IGNORECASE)


def started_runbook(method: str, path: str) -> str | None:
    """The GUID in the path of a start. `path`: relative to /api."""
    found = PATH.fullmatch(path) if method == "POST" else None
    return found["id"].lower() if found is not None else None


async def start_runbook(halo: SimulatedHalo, identifier: str, request: web.Request, grant: AccessToken | None) -> web.Response:
    """Start a runbook. A caller without rights can start only a runbook with a public start that accepts the caller. The answer to an application is empty."""
    if grant is not None and not permits(grant.scopes, "automation", write=True):
        return web.Response(status=403)
    runbook, body = halo.store.get("webhook", identifier), await request.read()
    if runbook is None or runbook.get("type") != RUNBOOK or not (grant or (runbook.get("runbook_start_type") == PUBLIC and known(runbook, request, body))):
        return web.Response(status=404 if grant else 401)
    if not runbook.get("active"):
        return refusal_answer("Unable to start automation", halo.settings.error_wrapper)
    payload = form_of(body) if grant else json_of_body(body)
    start(halo, runbook, payload, payload if grant and halo.settings.form_sets_variables else None)
    return web.Response() if grant else json_answer({"id": identifier})


def known(runbook: Row, request: web.Request, body: bytes) -> bool:
    """Whether a public caller authenticates as the runbook requires."""
    secret = str(runbook.get("basic_password") or "")
    match runbook.get("inbound_authentication_type"):
        case 1:
            scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
            try:
                pair = base64.b64decode(encoded)
            except ValueError:
                return False
            return scheme.lower() == "basic" and compare_digest(pair, f"{runbook.get('basic_username') or ''}:{secret}".encode())
        case 3:
            digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
            text = digest.hex() if runbook.get("digest") == HEX else base64.b64encode(digest).decode()
            given = request.headers.get(str(runbook.get("authentication_header") or "Token"), "")
            return compare_digest(given.encode(), f"{runbook.get('signature_prefix') or ''}{text}".encode())
        case _:
            return True


def form_of(body: bytes) -> dict[str, Any]:
    """`{"formCollection": [{"Key", "Value"}]}` as one object."""
    document = json_of_body(body)
    rows = document.get("formCollection") if isinstance(document, Mapping) else None
    return {str(row.get("Key")): row.get("Value") for row in rows if isinstance(row, Mapping)} if isinstance(rows, list) else {}


def json_of_body(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")
