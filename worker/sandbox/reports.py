"""Reports as a read channel: `POST /Report` with `_loadreportonly`, and `GET /Report/{id}` with `loadreport`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from worker.sandbox.report_engine import ReportExecution
from worker.sandbox.report_tables import TooMuch
from worker.sandbox.report_tokens import SqlError
from worker.sandbox.responses import json_answer
from worker.sandbox.simulated_halo import SimulatedHalo


async def report_answer(halo: SimulatedHalo, shown: Mapping[str, Any]) -> web.Response:
    """Return 200 with the report's members and its rows, also for a wrong statement; 504 if Halo would take too long. `shown`: the report without its rows."""
    try:
        loaded = await _loaded(halo, str(shown.get("sql") or ""))
    except TooMuch:
        return web.Response(status=504)
    return json_answer({**{name: value for name, value in shown.items() if not name.startswith("_")}, "report": loaded})


async def _loaded(halo: SimulatedHalo, statement: str) -> dict[str, Any]:
    settings = halo.settings
    try:
        rows = await ReportExecution(halo.store, halo.clock(), statement).rows(settings.report_rows, settings.report_seconds)
    except SqlError as wrong:
        return {"rows": [], "loaded": False, "load_error": str(wrong)}
    return {"rows": rows, "loaded": True}
