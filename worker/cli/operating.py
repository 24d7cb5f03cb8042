"""The options of commands that inspect or pause a running system. A command imports its code when it runs, so that `--help` is fast."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.authoring import AsJson

RouteName = Annotated[str, typer.Argument(metavar="ROUTE", help="A publisher, subscriber, runbook or webhook.")]


def show_status(
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every 2 seconds, until interrupted.")] = False,
    as_json: AsJson = False,
) -> int:
    """Show replicas, routes, clients and what waits; works from anywhere that reaches the broker.

    Ends with 1 when no replica is ready or a route is down. Broken route files do not stop it.
    """
    from worker.cli.status import status

    return status(os.environ, watch=watch, as_json=as_json)


def pause_route(
    name: RouteName,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Shown with the pause, wherever it shows.", show_default=False)] = "",
) -> int:
    """Pause a route on all replicas until it is resumed, restarts included.

    What is in flight ends. Nothing is lost: messages and deliveries wait in their queues, and a subscriber keeps its cursor.
    """
    from worker.cli.pausing import pause

    return pause(name, reason, os.environ)


def resume_route(name: RouteName) -> int:
    """Resume a paused route on all replicas."""
    from worker.cli.pausing import resume

    return resume(name, os.environ)


def trace(
    subject: Annotated[str, typer.Argument(metavar="ENTITY", help="An entity of Halo such as Tickets, before ID; or alone a message id or a correlation id.")],
    record: Annotated[str | None, typer.Argument(metavar="ID", help="The id of the record; a key of several members as 7/3.", show_default=False)] = None,
    as_json: AsJson = False,
) -> int:
    """Show what happened to one record or one message: seen in a poll, published, received, written, dead-lettered, replayed.

    Reads the stream halo.trace, which workers keep unless WORKER_TRACE is off. Exit code 1: nothing is known of it.
    """
    from worker.cli.trace import trace as tell

    return tell(subject, record, os.environ, as_json=as_json)


def doctor(as_json: AsJson = False) -> int:
    """Check from outside that the worker can run: Halo, its token and scopes, each list, the broker and its queues, the public port.

    Writes nothing to Halo. Prints what it tried, and a remedy for each failure. Exit code 1: a check failed.
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
