"""`halo-worker plan`: shows the exact requests and events that messages or records would cause, and sends none of them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from worker.app.planning.planner import PlanInput, Route, open_planner
from worker.cli.console import errors, output, with_noun, write_json
from worker.cli.documents import read_documents
from worker.cli.inputs import read_inputs
from worker.cli.plan_view import show_plan
from worker.config.loader import load_routes
from worker.config.routes import Publisher, Routes
from worker.core.comparison import ABSENT, mismatches
from worker.core.errors import ConfigError, Problem, Undecodable, WorkerError
from worker.core.exact_numbers import dumps
from worker.core.json_codec import decode
from worker.core.known_secrets import KnownSecrets
from worker.core.plan import Plan
from worker.core.ports import Clock, Evaluator
from worker.core.suggest import choices
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.flows.local.delivery import LocalLedger, StillClock
from worker.logs import configure
from worker.settings import Settings, load_settings

GOOD, FAILED = 0, 1


class NoSuchRoute(WorkerError):
    """The route files have no route of this name that can be planned."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The options of a plan. `headers` (name=text), `routing_key` and `change` apply to every input. `against`: another version of the route files."""

    headers: Sequence[str] = ()
    routing_key: str = ""
    change: Any = "created"
    ask: bool = False
    against: Path | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class RouteVersion:
    """A version of the route files, and the route to plan."""

    routes: Routes
    route: Route
    secrets: KnownSecrets


def show_plans(name: str, files: Sequence[str], environment: Mapping[str, str], options: PlanOptions) -> int:
    """Show the plans. Return 0 when every input is sent or skipped (with `against`: when no plan differs), otherwise 1.

    Raises `ConfigError`, `NoSuchRoute`, `PlanFailed`, `UnreadableInput`.
    """
    settings = load_settings(environment)
    configure("error")
    version = load_version(settings.routes, name, environment, settings, placeholders=not options.ask)
    other = None if options.against is None else load_version(options.against, name, environment, settings, placeholders=not options.ask)
    inputs = [given for file in files for given in inputs_of(file, version.route, options)]
    return asyncio.run(compare(version, other, inputs, settings, options) if other is not None else print_plans(version, inputs, settings, options))


def load_version(directory: Path, name: str, environment: Mapping[str, str], settings: Settings, *, placeholders: bool) -> RouteVersion:
    """Raises `ConfigError`, `NoSuchRoute`."""
    routes = load_routes(directory, environment, settings.secrets, placeholders=placeholders)
    known: dict[str, Route] = {**routes.subscribers, **routes.publishers, **routes.webhooks}
    if name in known:
        return RouteVersion(routes, known[name], routes.secrets)
    if name in routes.runbooks:
        raise NoSuchRoute(f"{name} is a runbook, whose requests depend on answers: use `halo-worker start {name} --dry-run`")
    raise NoSuchRoute(f"there is no publisher, subscriber or webhook {name!r} in {directory}{choices(name, known, none='it has none')}")


def inputs_of(file: str, route: Route, options: PlanOptions) -> list[PlanInput]:
    """Return the inputs of a file. Raises `UnreadableInput`, `ConfigError` for a header that is not name=text, or for a record that is no JSON."""
    headers = read_inputs(options.headers, option="--header")
    bodies = read_documents(file)
    for number, body in enumerate(bodies, 1):
        if not isinstance(route, Publisher):
            try:
                decode(body)
            except Undecodable as error:
                raise ConfigError([Problem(file, 0, 0, f"input {number}: {error}")]) from None
    return [PlanInput(body, headers, options.routing_key, options.change) for body in bodies]


async def plans_of(
    version: RouteVersion, inputs: Sequence[PlanInput], settings: Settings, evaluator: Evaluator, clock: Clock, *, asks: bool = False
) -> AsyncIterator[Plan]:
    """Yield the plan of each input. The inputs share their claims, like messages of one queue."""
    ledger = LocalLedger()
    async with open_planner(version.routes, settings, [version.route], evaluator, clock, asks=asks) as planner:
        for given in inputs:
            yield await planner.plan(version.route, given, ledger)


async def print_plans(version: RouteVersion, inputs: Sequence[PlanInput], settings: Settings, options: PlanOptions) -> int:
    console, counts, asked = output(), Counter[str](), list[str]()
    async with open_evaluator(Limits(settings.expression_memory)) as evaluator:
        plans = plans_of(version, inputs, settings, evaluator, StillClock(time.time()), asks=options.ask)
        async with aclosing(plans):  # type: ignore[type-var]  # an async generator has `aclose`
            number = 0
            async for plan in plans:
                number += 1
                counts[plan.outcome] += 1
                asked += [request.line for request in (*plan.requests, *plan.asked) if request.asked]
                if options.as_json:
                    write_json(version.secrets.hide_in(plan.as_object(number)), indent=False)
                else:
                    show_plan(console, str(number), plan, version.secrets)
    summary_console = errors() if options.as_json else console
    print_asked(summary_console, asked, ask=options.ask)
    summary_console.print(Text(f"{with_noun(len(inputs), 'input')}: {summary(counts)}; nothing was sent", style="bold"), soft_wrap=True)
    return FAILED if counts["dead"] else GOOD


def print_asked(console: Console, asked: Sequence[str], *, ask: bool) -> None:
    if not ask:
        console.print("offline: neither Halo nor RabbitMQ was called", soft_wrap=True)
        return
    console.print(f"asked Halo {with_noun(len(asked), 'time')}, GET only", soft_wrap=True)
    for line, count in Counter(asked).items():
        console.print(f"  {line}{f'  ({count} times)' if count > 1 else ''}", soft_wrap=True)


def summary(counts: Counter[str]) -> str:
    words = {"request": "for Halo", "event": "for RabbitMQ", "skipped": "skipped", "dead": "dead-lettered"}
    return ", ".join(f"{counts[outcome]} {word}" for outcome, word in words.items() if counts[outcome]) or "none"


async def compare(version: RouteVersion, other: RouteVersion, inputs: Sequence[PlanInput], settings: Settings, options: PlanOptions) -> int:
    """Plan the same inputs with both versions, and print only the differences."""
    console, clock, differing = output(), StillClock(time.time()), 0
    async with open_evaluator(Limits(settings.expression_memory)) as evaluator:
        ours = [plan async for plan in plans_of(version, inputs, settings, evaluator, clock, asks=options.ask)]
        theirs = [plan async for plan in plans_of(other, inputs, settings, evaluator, clock, asks=options.ask)]
    for number, (one, two) in enumerate(zip(ours, theirs, strict=True), 1):
        here, there = version.secrets.hide_in(one.as_object(number)), other.secrets.hide_in(two.as_object(number))
        found = list(mismatches("", there, here))
        if not found:
            continue
        differing += 1
        if options.as_json:
            write_json({"input": number, "here": here, "there": there}, indent=False)
            continue
        console.print(Text(f"{number:<4} {one.outcome if one.outcome == two.outcome else f'{two.outcome} → {one.outcome}'}", style="bold"), soft_wrap=True)
        for mismatch in found:
            console.print(f"     {mismatch.place.removeprefix('.')}", soft_wrap=True)
            for sign, value, style in (("-", mismatch.expected, "red"), ("+", mismatch.found, "green")):
                if value is not ABSENT:
                    console.print(Text(f"       {sign} {dumps(value).decode()}", style=style), soft_wrap=True)
    summary_console = errors() if options.as_json else console
    verdict = f"{differing} of {with_noun(len(inputs), 'plan')} differ" if differing else f"{with_noun(len(inputs), 'plan')}, none differs"
    summary_console.print(Text(f"{verdict} from {options.against} (-); nothing was sent", style="bold"), soft_wrap=True)
    return FAILED if differing else GOOD
