"""`halo-worker test`: runs the examples of route files offline, and shows where their results differ from what they expect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from worker.app.planning.examples import ExampleResult, examples_of, run_example
from worker.app.planning.planner import open_planner
from worker.cli.console import errors, output, with_noun, write_json
from worker.cli.junit import write_junit
from worker.config.loader import load_routes
from worker.config.routes import Routes
from worker.core.comparison import ABSENT, Mismatch
from worker.core.exact_numbers import dumps
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.flows.local.delivery import StillClock
from worker.logs import configure
from worker.settings import Settings, load_settings

GOOD, FAILED = 0, 1
SHOWN = 2000  # characters of a value; `--json` prints all of it


def run_tests(directory: Path | None, environment: Mapping[str, str], *, junit: Path | None, as_json: bool) -> int:
    """Run the examples. Return 0 when every result is as expected, 1 when one differs or there is no example. Raises `ConfigError`."""
    settings = load_settings(environment)
    configure("error")
    routes = load_routes(directory or settings.routes, environment, settings.secrets, placeholders=True)
    results = asyncio.run(run_all(routes, settings))
    if junit is not None:
        write_junit(junit, results)
    if as_json:
        for result in results:
            write_json(result_object(result), indent=False)
    else:
        show_results(results, routes_without_examples(routes))
    if not results:
        errors().print(f"there are no examples in {directory or settings.routes}: write `examples:` into a route", soft_wrap=True)
    return GOOD if results and all(result.passed for result in results) else FAILED


async def run_all(routes: Routes, settings: Settings) -> list[ExampleResult]:
    """Run the examples one after the other, with a progress bar on a terminal."""
    examples, console = examples_of(routes), errors()
    async with open_evaluator(Limits(settings.expression_memory)) as evaluator:
        opening = open_planner(routes, settings, [route for _, route, _ in examples], evaluator, StillClock(time.time()))
        async with opening as planner:
            with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
                return [without_secrets(await run_example(planner, *each), routes) for each in progress.track(examples, description="examples")]


def without_secrets(result: ExampleResult, routes: Routes) -> ExampleResult:
    """Return the result without the secrets that route files put into requests."""
    if result.passed:
        return result
    hide = routes.secrets.hide_in
    return replace(result, differences=[replace(each, expected=hide(each.expected), found=hide(each.found)) for each in result.differences])


def routes_without_examples(routes: Routes) -> list[str]:
    """Return the routes without an example."""
    kinds: tuple[Mapping[str, Any], ...] = (routes.subscribers, routes.publishers, routes.runbooks, routes.webhooks)
    return [name for kind in kinds for name, route in kind.items() if not route.examples]


def show_results(results: Sequence[ExampleResult], without: Sequence[str]) -> None:
    console = output()
    for result in results:
        mark, style = ("pass", "green") if result.passed else ("FAIL", "bold red")
        place = "" if result.passed else f"  {result.example.place}:{result.example.line}"
        console.print(Text.assemble((mark, style), f"  {result.kind} {result.route}: {result.example.name}{place}"), soft_wrap=True)
        for mismatch in result.differences:
            show_mismatch(console, mismatch)
    failed = sum(not result.passed for result in results)
    if without:
        console.print(f"without examples: {', '.join(without)}", soft_wrap=True)
    summary = f"{with_noun(len(results), 'example')}, {failed} failed" if failed else f"{with_noun(len(results), 'example')}, all passed"
    if results:
        console.print(Text(f"{summary}; offline, nothing was sent", style="red" if failed else "green"))


def show_mismatch(console: Console, mismatch: Mismatch) -> None:
    console.print(f"      {mismatch.place}", soft_wrap=True)
    console.print(Text.assemble(("        - expected  ", "red"), one_line(mismatch.expected)), soft_wrap=True)
    console.print(Text.assemble(("        + found     ", "green"), one_line(mismatch.found)), soft_wrap=True)


def one_line(value: Any) -> str:
    """Return a value on one line: text as it is, anything else as JSON."""
    if value is ABSENT or isinstance(value, str):
        return str(value) if value is ABSENT else dumps(value).decode()[:SHOWN]
    return dumps(value).decode()[:SHOWN]


def result_object(result: ExampleResult) -> dict[str, Any]:
    """Return the object that `--json` prints, one per line."""
    differences = [
        {"place": each.place} | {name: value for name, value in (("expected", each.expected), ("found", each.found)) if value is not ABSENT}
        for each in result.differences
    ]
    example = result.example
    made = {"route": result.route, "kind": result.kind, "example": example.name, "file": example.place, "line": example.line, "passed": result.passed}
    return made | ({"differences": differences} if differences else {})
