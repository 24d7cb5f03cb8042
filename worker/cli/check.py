"""Checks the route files of a directory without connecting to anything."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from rich.text import Text

from worker.cli.console import errors, output, table
from worker.config.loader import load_routes
from worker.config.routes import Publisher, Routes, Subscriber
from worker.core.durations import format_duration
from worker.core.errors import ConfigError, Problem

GOOD = 0
WRONG = 2
HOW = {"by_date": "changes by date", "by_content": "changes by content", "all": "every record"}


def check(directory: Path, environment: Mapping[str, str], secrets: Path, *, as_json: bool) -> int:
    """The exit code. Problems go to standard error, the table of routes to standard output; with `as_json` either goes to standard output."""
    try:
        routes = load_routes(directory, environment, secrets)
    except ConfigError as error:
        if as_json:
            write_json({"ok": False, "problems": [as_object(problem) for problem in error.problems]})
        else:
            print_problems(error.problems)
        return WRONG
    rows = [*map(subscriber_row, routes.subscribers.values()), *map(publisher_row, routes.publishers.values())]
    if as_json:
        write_json({"ok": True, "clients": list(routes.clients), "routes": [dict(zip(("route", "kind", "client", "does"), row, strict=True)) for row in rows]})
    else:
        print_routes(routes, rows)
    return GOOD


def print_problems(problems: Sequence[Problem]) -> None:
    console = errors()
    for problem in problems:
        place = str(problem).removesuffix(problem.message)
        console.print(Text.assemble((place, "bold"), problem.message), soft_wrap=True)
    count = len(problems)
    console.print(Text(f"{count} problem{'s' if count > 1 else ''}", style="red"))


def print_routes(routes: Routes, rows: Sequence[tuple[str, ...]]) -> None:
    console = output()
    shown = table(console, "route", "kind", "client", "does")
    for row in rows:
        shown.add_row(*row)
    console.print(shown)
    counts = [(len(routes.clients), "client"), (len(routes.subscribers), "subscriber"), (len(routes.publishers), "publisher")]
    said = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts)
    console.print(Text(f"good: {said}", style="green"))


def subscriber_row(route: Subscriber) -> tuple[str, ...]:
    when = f"every {format_duration(route.every)}" if route.every else f"at {route.cron}"
    target = f"exchange {route.exchange}" + (f", queue {route.queue}" if route.queue else "")
    return (route.name, "subscriber", route.client, f"GET {route.operation.entity} {when}, {HOW[route.changes]} → {target}")


def publisher_row(route: Publisher) -> tuple[str, ...]:
    look = ""
    if route.find:
        look = ", looks before each create" if route.find.use == "always" else ", looks before it repeats"
    does = f"queue {route.queue} → {route.operation.method} {route.operation.entity}, {route.concurrency} at a time{look}"
    return (route.name, "publisher", route.client, does)


def as_object(problem: Problem) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "column": problem.column, "message": problem.message}


def write_json(value: Any) -> None:
    sys.stdout.write(f"{orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()}\n")
