"""The commands that show, move or repeat what a subscriber has read."""

from __future__ import annotations

import os
from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
cursor = typer.Typer(help="Show the cursor of a subscriber, or move it.", no_args_is_help=True, rich_markup_mode=None)
SubscriberName = Annotated[str, typer.Argument(metavar="SUBSCRIBER")]
CursorDryRun = Annotated[bool, typer.Option("--dry-run", help="Ask Halo how many records the subscriber would read again, and change nothing.")]


@cursor.command("show")
def cursor_show(name: SubscriberName, as_json: AsJson = False) -> int:
    """Show how far a subscriber is."""
    from worker.cli.cursor import show

    return show(name, os.environ, as_json=as_json)


@cursor.command("set")
def cursor_set(
    name: SubscriberName,
    at: Annotated[str, typer.Option(metavar="ISO", help="A date or a time, in UTC unless it has a zone: 2026-03-01T14:30:00Z.")],
    dry_run: CursorDryRun = False,
) -> int:
    """Publish again what was updated since a moment; also creates a lost baton."""
    from worker.cli.cursor import set_to

    return set_to(name, at, os.environ, dry_run=dry_run)


@cursor.command("rewind")
def cursor_rewind(
    name: SubscriberName, by: Annotated[str, typer.Option(metavar="DURATION", help="A duration: 30m, 2h, 1d.")], dry_run: CursorDryRun = False
) -> int:
    """Publish again what was updated in this time before the cursor."""
    from worker.cli.cursor import rewind

    return rewind(name, by, os.environ, dry_run=dry_run)


@cursor.command("reset")
def cursor_reset(name: SubscriberName, dry_run: CursorDryRun = False) -> int:
    """Start again as at the first poll."""
    from worker.cli.cursor import reset

    return reset(name, os.environ, dry_run=dry_run)


def backfill(
    name: SubscriberName,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="ISO", help="Publish every record that was updated since this date or time; UTC without a zone.", show_default=False),
    ] = None,
    status: Annotated[bool, typer.Option("--status", help="Show how far it is, and when it will end.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="End it; what is published stays.")] = False,
    wait: Annotated[bool | None, typer.Option("--wait/--no-wait", help="Follow it to its end. Default: on a terminal.", show_default=False)] = None,
    as_json: AsJson = False,
) -> int:
    """Read the history of a subscriber below its live work, and publish it as events of type backfilled.

    The worker does it, between polls, and goes on after a restart; this command only starts, shows and ends it.
    """
    from worker.cli.backfill import backfill as run_backfill

    return run_backfill(name, since, os.environ, status=status, cancel=cancel, wait=wait, as_json=as_json)
