"""The options of commands that look at a running system; what a command does is imported when it runs, so that `--help` is fast."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def trace(
    subject: Annotated[str, typer.Argument(metavar="ENTITY", help="An entity of Halo such as Tickets, before ID; or alone a message id or a correlation id.")],
    record: Annotated[str | None, typer.Argument(metavar="ID", help="The id of the record; a key of several members as 7/3.", show_default=False)] = None,
    as_json: AsJson = False,
) -> int:
    """Tell what happened to one record or one message: seen in a poll, published, received, written, dead-lettered, replayed.

    Reads the stream halo.trace, which workers keep unless WORKER_TRACE is off. Exit code 1: nothing is known of it.
    """
    from worker.cli.trace import trace as tell

    return tell(subject, record, os.environ, as_json=as_json)


def doctor(as_json: AsJson = False) -> int:
    """Check from outside that the worker can run: Halo, its token and scopes, each list, the broker and its queues, the public port.

    Writes nothing to Halo. Tells what was tried, and a remedy for each failure. Exit code 1: a check failed.
    """
    from worker.cli.doctor import doctor as examine

    return examine(os.environ, as_json=as_json)


def asyncapi(
    directory: Annotated[Path | None, typer.Argument(metavar="DIR", help="Directory of the route files. Default: WORKER_ROUTES.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of YAML.")] = False,
) -> int:
    """Print an AsyncAPI 3 document of the queues, exchanges and messages of the routes; connects to nothing."""
    from worker.cli.asyncapi import print_asyncapi

    return print_asyncapi(directory, os.environ, as_json=as_json)
