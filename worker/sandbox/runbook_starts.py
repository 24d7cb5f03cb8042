"""Starts of Halo's own runbooks, by anybody through their public URL or by an application. The sandbox executes no step: each run is done at once."""

from __future__ import annotations

from aiohttp import web

from worker.sandbox.responses import json_answer, refusal_answer
from worker.sandbox.scopes import permits
from worker.sandbox.simulated_halo import SimulatedHalo
from worker.sandbox.table import Row
from worker.sandbox.tokens import AccessToken

RUNBOOK, PUBLIC = 1, 1
DONE = 2


def start_runbook(halo: SimulatedHalo, identifier: str, grant: AccessToken | None) -> web.Response:
    """Without rights, only a runbook with a public start can be started. The answer to an application is empty."""
    if grant is not None and not permits(grant.scopes, "automation", write=True):
        return web.Response(status=403)
    runbook = halo.store.get("webhook", identifier)
    if runbook is None or runbook.get("type") != RUNBOOK or not (grant or runbook.get("runbook_start_type") == PUBLIC):
        return web.Response(status=404 if grant else 401)
    if not runbook.get("active"):
        return refusal_answer("Unable to start automation", halo.settings.error_wrapper)
    _record_run(halo, runbook)
    return web.Response() if grant else json_answer({"id": identifier})


def _record_run(halo: SimulatedHalo, runbook: Row) -> None:
    halo.store.create("automation", {"runbook_id": runbook["id"], "runbook_name": runbook.get("name"), "status": DONE, "date": halo.clock()})
