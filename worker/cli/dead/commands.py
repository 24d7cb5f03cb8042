"""The options of the `dead` commands. A command imports its code when it runs, so that `--help` is fast."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

dead = typer.Typer(help="List, show, edit, replay or discard dead letters.", no_args_is_help=True, rich_markup_mode=None)
RouteName = Annotated[str, typer.Argument(metavar="ROUTE", help="A publisher, runbook, subscriber or webhook, `unrouted`, or the name of a dead queue.")]
LetterIds = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Message ids, or the beginnings of message ids.", show_default=False)]
AllOption = Annotated[bool, typer.Option("--all", help="All letters.")]
WhereOption = Annotated[
    str | None,
    typer.Option(
        metavar="JSONATA",
        help="Only letters for which this is true. Input: {id, class, reason, status, attempts, replays, age, headers, body}; age in seconds.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what the command would do, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


@dead.command("list")
def dead_list(
    route: Annotated[
        str | None, typer.Argument(metavar="ROUTE", help="As in the other commands. Default: every route, and `unrouted`.", show_default=False)
    ] = None,
    ids: LetterIds = None,
    where: WhereOption = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="Maximum letters, oldest first (0 = all). Default 50; no limit with --json.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List dead letters, and count them by class; without ROUTE those of all routes. Changes nothing."""
    from worker.cli.dead.all_routes import list_all_routes
    from worker.cli.dead.inspect import list_letters

    if route is None:
        return list_all_routes(where, limit, os.environ, as_json=as_json)
    return list_letters(route, ids or [], where, limit, os.environ, as_json=as_json)


@dead.command("show")
def dead_show(
    route: RouteName,
    ids: LetterIds = None,
    everything: AllOption = False,
    where: WhereOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum letters, oldest first.")] = 20,
    reveal: Annotated[bool, typer.Option("--reveal", help="Also show values that look like secrets.")] = False,
    as_json: AsJson = False,
) -> int:
    """Show dead letters in full: headers and body. Values that look like secrets are masked."""
    from worker.cli.dead.inspect import show_letters

    return show_letters(route, ids or [], where, limit, os.environ, everything=everything, reveal=reveal, as_json=as_json)


@dead.command("replay")
def dead_replay(
    route: RouteName,
    ids: LetterIds = None,
    everything: AllOption = False,
    where: WhereOption = None,
    verdict: Annotated[
        Literal["sent", "not-sent", "look"] | None,
        typer.Option("--as", help="Verdict on letters in doubt: sent, not-sent, or look (look them up with `find`).", show_default=False),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Replay dead letters, in their old order. They pass through the route's own queue only; `replays` counts, and their attempts start again at 0."""
    from worker.cli.dead.apply import ApplyOptions, replay_letters

    return replay_letters(route, ids or [], where, verdict, os.environ, everything=everything, options=ApplyOptions(dry_run, yes, as_json))


@dead.command("edit")
def dead_edit(
    route: RouteName,
    letter: Annotated[str, typer.Argument(metavar="ID", help="A message id, or the beginning of one.")],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=VALUE", help="Set a member: payload.client_id=12. VALUE is JSON where it parses, otherwise text.", show_default=False
        ),
    ] = None,
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="Take the new body from a file; - is standard input.", show_default=False)] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Change the body of a dead letter: by --set, from --file, or in $EDITOR. Shows the difference; the original stays in halo.edits.dead."""
    from worker.cli.dead.apply import ApplyOptions
    from worker.cli.dead.edit import edit_letter

    return edit_letter(route, letter, changes or [], file, os.environ, options=ApplyOptions(dry_run, yes, as_json))


@dead.command("discard")
def dead_discard(
    route: RouteName,
    ids: LetterIds = None,
    everything: AllOption = False,
    where: WhereOption = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Delete dead letters permanently."""
    from worker.cli.dead.apply import ApplyOptions, discard_letters

    return discard_letters(route, ids or [], where, os.environ, everything=everything, options=ApplyOptions(dry_run, yes, as_json))
