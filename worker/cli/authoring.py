"""The commands with which routes are written and tried before they run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from worker.core.durations import parse_duration
from worker.core.errors import ConfigError, Problem

Inputs = Annotated[
    list[str] | None, typer.Option("--input", metavar="NAME=TEXT", help="A variable: name=text, name:=JSON, or @FILE in place of the text.", show_default=False)
]
Timeout = Annotated[str, typer.Option(metavar="DURATION", help="The longest time to wait for the end: 30s, 5m, 1h.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def time_limit(text: str) -> float:
    """Return the seconds of `--timeout`. Raises `ConfigError`."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ConfigError([Problem("--timeout", 0, 0, str(error))]) from None
    if seconds <= 0:
        raise ConfigError([Problem("--timeout", 0, 0, "it must be longer than 0s")])
    return seconds


def plan(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help="A publisher, subscriber or webhook.")],
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="JSON, an array of inputs, or one JSON text a line (NDJSON); - reads standard input.")],
    headers: Annotated[list[str] | None, typer.Option("--header", metavar="NAME=TEXT", help="A header of every message.", show_default=False)] = None,
    routing_key: Annotated[str, typer.Option(help="The routing key of every message. Default: the route's queue.", show_default=False)] = "",
    change: Annotated[
        Literal["created", "updated", "deleted", "backfilled"], typer.Option(help="The kind of change of every record of a subscriber.")
    ] = "created",
    ask: Annotated[bool, typer.Option("--ask", help="Read from Halo (GET only) what lookups find and what updates change.")] = False,
    against: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Another version of the route files: show only the inputs whose plans differ.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Show the exact requests and events that messages or records would cause; sends nothing.

    Ends with 1 when an input would become a dead letter; with `--against`, when a plan differs.
    """
    from worker.cli.plan import PlanOptions, show_plans

    options = PlanOptions(tuple(headers or ()), routing_key, change, ask, against, as_json)
    return show_plans(route, files, os.environ, options)


def run_examples(
    directory: Annotated[Path | None, typer.Argument(metavar="DIR", help="Directory of the route files. Default: WORKER_ROUTES.", show_default=False)] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the results as JUnit XML.", show_default=False)] = None,
    record: Annotated[
        tuple[str, Path] | None,
        typer.Option(metavar="ROUTE FILE", help="Add an example to ROUTE, made of the input in FILE, with personal data masked.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Run the examples of route files; connects to nothing.

    Ends with 1 when an example yields something else than it expects. A variable or secret that is not set is replaced by a placeholder.
    """
    from worker.cli.recording import record_example
    from worker.cli.testing import run_tests

    if record is not None:
        return record_example(directory, *record, os.environ)
    return run_tests(directory, os.environ, junit=junit, as_json=as_json)


def init(directory: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that does not exist or is empty.")]) -> int:
    """Write a project to start from: a client, a subscriber, a publisher with examples, and a compose file."""
    from worker.cli.init import write_project

    return write_project(directory)


def call(
    name: Annotated[str, typer.Argument(metavar="INTEGRATION.METHOD")],
    inputs: Inputs = None,
    customer: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="The row of the integration's `customers`. Default: the one that its `row` names.", show_default=False),
    ] = None,
    timeout: Timeout = "5m",
    as_json: AsJson = False,
) -> int:
    """Call a method of an integration once, as Halo's Test button does.

    Prints the answer, and what each output variable finds in it. A call that does not end within `--timeout` ends with 1 and says what it waited for.
    """
    from worker.cli.call import call as call_once

    return call_once(name, inputs or [], os.environ, customer=customer, limit=time_limit(timeout), as_json=as_json)


def start(
    name: Annotated[str, typer.Argument(metavar="RUNBOOK")],
    inputs: Inputs = None,
    payload: Annotated[
        Path | None, typer.Option(help="A JSON file with the starting payload, from which the runbook takes its variables.", show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send reads (GET) only, and show writes instead of sending them.")] = False,
    answers: Annotated[
        list[str] | None,
        typer.Option(
            "--answer", metavar="METHOD:=JSON", help="With --dry-run: the answer to a method or request that is not sent; default: empty.", show_default=False
        ),
    ] = None,
    timeout: Timeout = "5m",
    as_json: AsJson = False,
) -> int:
    """Run a runbook once, in this process, and follow it to its end.

    A run that does not end within `--timeout` ends with 1 and says what it waited for.
    """
    from worker.cli.start import StartOptions
    from worker.cli.start import start as start_run

    options = StartOptions(time_limit(timeout), dry_run, answers or (), as_json)
    return start_run(name, inputs or [], payload, os.environ, options)
