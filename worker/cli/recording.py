"""`halo-worker test --record`: adds an example to a route file, made from a real input with masked personal data."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from worker.app.planning.examples import expectation_of
from worker.app.planning.planner import PlanInput, Route, open_planner
from worker.cli.console import output, with_noun
from worker.cli.documents import read_documents
from worker.cli.example_writer import NoPlace, add_examples
from worker.config.automation import Runbook
from worker.config.loader import load_routes
from worker.config.routes import Publisher, Routes, Subscriber
from worker.config.yaml_text import MAX_INTEGER
from worker.core.errors import Undecodable, WorkerError
from worker.core.json_codec import decode, encode
from worker.core.masking import Masker
from worker.core.route_names import defined_name
from worker.core.suggest import choices
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.flows.local.delivery import LocalLedger, StillClock
from worker.logs import configure
from worker.settings import Settings, load_settings

SECTIONS = {Publisher: "publishers", Subscriber: "subscribers"}


class NotRecorded(WorkerError):
    """No example can be made of this input."""


def record_example(directory: Path | None, name: str, file: Path, environment: Mapping[str, str]) -> int:
    """Add an example for each input of the file. Raises `ConfigError`, `NotRecorded`, `UnreadableInput`."""
    settings = load_settings(environment)
    configure("error")
    folder = directory or settings.routes
    routes = load_routes(folder, environment, settings.secrets, placeholders=True)
    route = recordable(routes, name)
    codes = {str(key) for table in routes.tables.values() for key in table}  # not masked: the route files hold them already, and a mapping needs them
    masked = [masked_input(text, number, codes) for number, text in enumerate(read_documents(str(file)), 1)]
    examples = asyncio.run(expected_results(routes, settings, route, masked))
    section = SECTIONS.get(type(route), "webhooks")
    try:
        path, line = add_examples(folder, section, defined_name(name), examples)
        load_routes(folder, environment, settings.secrets, placeholders=True)
    except NoPlace as error:
        raise NotRecorded(str(error)) from None
    console = output()
    console.print(f"{path}:{line}: {with_noun(len(examples), 'example')} added to {name}", soft_wrap=True)
    console.print("Personal data is masked by names of members and by patterns: read the example before you commit it.", soft_wrap=True)
    return 0


def recordable(routes: Routes, name: str) -> Route:
    known: dict[str, Route] = {**routes.subscribers, **routes.publishers, **routes.webhooks, **routes.runbooks}
    if name not in known:
        raise NotRecorded(f"there is no route {name!r}{choices(name, known, none='the route files have none')}")
    if isinstance(known[name], Runbook):
        raise NotRecorded(f"{name} is a runbook, whose requests depend on answers: write its example by hand, with `answers`")
    return known[name]


def masked_input(text: bytes, number: int, codes: Collection[str]) -> Any:
    try:
        given = decode(text)
    except Undecodable as error:
        raise NotRecorded(f"input {number}: {error}") from None
    if not fits_yaml(given):
        raise NotRecorded(f"input {number} has a number with more digits than a route file holds (2^63, or those of a double): have it sent as text")
    return Masker(codes).mask(given)


def fits_yaml(value: Any) -> bool:
    """Whether a route file can hold each number of the value exactly."""
    if isinstance(value, (dict, list)):
        return all(map(fits_yaml, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, Decimal) and not (isinstance(value, int) and abs(value) >= MAX_INTEGER)


async def expected_results(routes: Routes, settings: Settings, route: Route, inputs: list[Any]) -> list[dict[str, Any]]:
    """Return each input with its present result."""
    made = []
    async with (
        open_evaluator(Limits(settings.expression_memory)) as evaluator,
        open_planner(routes, settings, [route], evaluator, StillClock(time.time())) as planner,
    ):
        for given in inputs:
            plan = await planner.plan(route, PlanInput(encode(given)), LocalLedger())
            made.append({"name": f"recorded: {plan.outcome}", "given": given, "expect": expectation_of(route, plan)})
    return made
