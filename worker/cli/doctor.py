"""`halo-worker doctor`: checks a deployment from outside, and says what to do about each failure."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict

from rich.text import Text

from worker.app.doctor.check import Check, CheckVerdict, healthy
from worker.app.doctor.examination import examine
from worker.cli.console import output, with_noun, write_json
from worker.config.loader import load_routes
from worker.core.clock import SystemClock
from worker.logs import configure
from worker.settings import load_settings

FAILED = 1
MARKS = {
    CheckVerdict.GOOD: ("ok  ", "green"),
    CheckVerdict.WARNING: ("warn", "yellow"),
    CheckVerdict.FAILED: ("FAIL", "bold red"),
    CheckVerdict.UNKNOWN: ("?   ", "dim"),
}


def doctor(environment: Mapping[str, str], *, as_json: bool) -> int:
    """Returns the exit code: 1 if a check failed. Raises `ConfigError`."""
    settings = load_settings(environment)
    configure("error", settings.log_format)
    routes = load_routes(settings.routes, environment, settings.secrets)

    async def run() -> list[Check]:
        found = []
        async for check in examine(routes, settings, SystemClock()):
            found.append(hidden(check))
            if not as_json:
                show_check(found[-1])
        return found

    def hidden(check: Check) -> Check:
        return Check(check.subject, check.name, check.tried, check.verdict, routes.secrets.hide(check.result), check.fix)

    checks = asyncio.run(run())
    good = healthy(checks)
    if as_json:
        write_json({"healthy": good, "checks": [asdict(check) for check in checks]})
    else:
        counts = ", ".join(f"{sum(check.verdict is verdict for check in checks)} {verdict}" for verdict in CheckVerdict)
        output().print(Text(f"{with_noun(len(checks), 'check')}: {counts}", style="green" if good else "bold red"), soft_wrap=True)
    return 0 if good else FAILED


def show_check(check: Check) -> None:
    mark, style = MARKS[check.verdict]
    output().print(Text.assemble((mark, style), f" {check.subject}: {check.name}: {check.tried}: {check.result}"), soft_wrap=True)
    if check.fix:
        output().print(Text(f"     → {check.fix}", style=style), soft_wrap=True)
