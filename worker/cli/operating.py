"""The options of `status`, `pause` and `resume`."""

from __future__ import annotations

import os
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
