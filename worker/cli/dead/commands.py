"""The options of the `dead` commands."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from worker.flows.dead.verdict import Verdict

dead = typer.Typer(help="Look at dead letters, have them tried anew, or discard them.", no_args_is_help=True, rich_markup_mode=None)
Route = Annotated[str, typer.Argument(metavar="ROUTE", help="A publisher, runbook, subscriber or webhook, `unrouted`, or the name of a dead queue.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Message ids, or beginnings of them.", show_default=False)]
All = Annotated[bool, typer.Option("--all", help="All letters.")]
Where = Annotated[
    str | None,
    typer.Option(
        metavar="JSONATA", help="Only those for which it holds, over {id, class, reason, status, attempts, replays, age, headers, body}; age in seconds."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@dead.command("list")
def dead_list(
    route: Route,
    ids: Ids = None,
    where: Where = None,
    limit: Annotated[
        int | None, typer.Option(min=0, help="At most so many, oldest first; 0: all. By itself 50, and all with --json.", show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List dead letters, and count them by class. Nothing is changed by looking."""
    from worker.cli.dead.inspect import list_letters

    return list_letters(route, ids or [], where, limit, os.environ, as_json=as_json)


@dead.command("show")
def dead_show(
    route: Route,
    ids: Ids = None,
    everything: All = False,
    where: Where = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, oldest first.")] = 20,
    reveal: Annotated[bool, typer.Option("--reveal", help="Show also what looks like a secret.")] = False,
    as_json: AsJson = False,
) -> int:
    """Show everything of dead letters: headers and body, without what looks like a secret."""
    from worker.cli.dead.inspect import show_letters

    return show_letters(route, ids or [], where, limit, os.environ, everything=everything, reveal=reveal, as_json=as_json)


@dead.command("replay")
def dead_replay(
    route: Route,
    ids: Ids = None,
    everything: All = False,
    where: Where = None,
    verdict: Annotated[
        Verdict | None, typer.Option("--as", help="What became of those in doubt: sent, not-sent, or look: let `find` look.", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Have dead letters tried anew, in their old order, through the route's own queue. Their attempts begin anew, and `replays` counts."""
    from worker.cli.dead.apply import ApplyOptions, replay_letters

    return replay_letters(route, ids or [], where, verdict, os.environ, everything=everything, options=ApplyOptions(dry_run, yes, as_json))


@dead.command("discard")
def dead_discard(
    route: Route,
    ids: Ids = None,
    everything: All = False,
    where: Where = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> int:
    """Delete dead letters for good."""
    from worker.cli.dead.apply import ApplyOptions, discard_letters

    return discard_letters(route, ids or [], where, os.environ, everything=everything, options=ApplyOptions(dry_run, yes, as_json))
