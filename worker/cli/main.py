"""The command line, with the parts that all commands share: exit codes, and one sentence instead of a traceback."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from worker import __version__
from worker.cli.authoring import AsJson, call, init, plan, run_examples, start
from worker.cli.catalogue_commands import catalogue
from worker.cli.check_formats import Format
from worker.cli.console import errors
from worker.cli.cursor_commands import backfill, cursor
from worker.cli.dead import dead
from worker.cli.operating import asyncapi, doctor, pause_route, resume_route, show_status, trace
from worker.cli.problems import print_problems
from worker.cli.runbook_commands import runbook
from worker.core.errors import ConfigError, WorkerError
from worker.core.redaction import redact_text

FAILED = 1
WRONG_USAGE = 2


def end(code: int, **_: object) -> None:
    """End with the exit code that a command returns: 0 done, 1 failed, 2 wrong configuration or usage."""
    raise typer.Exit(code)


app = typer.Typer(
    name="halo-worker",
    help="Moves data between HaloITSM and RabbitMQ, as route files say.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if sys.stdout.isatty() else None,
    result_callback=end,
)


def print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"halo-worker {__version__}")
        raise typer.Exit


@app.callback()
def options(*, shown: Annotated[bool, typer.Option("--version", is_eager=True, callback=print_version, help="Print the version.")] = False) -> None:
    """What may stand before a command."""


@app.command()
def run() -> int:
    """Run the service until it is asked to stop.

    Its settings are the WORKER_* variables of the environment.
    """
    from worker.cli.run import run as serve

    return serve(os.environ)


@app.command()
def check(
    directory: Annotated[Path | None, typer.Argument(metavar="DIR", help="Directory of the route files. Default: WORKER_ROUTES.", show_default=False)] = None,
    *,
    strict: Annotated[bool, typer.Option("--strict", help="Fail after warnings too, with exit code 2.")] = False,
    form: Annotated[Format, typer.Option("--format", help="`github` prints annotations for a workflow, `sarif` a SARIF 2.1.0 log.")] = Format.TEXT,
    as_json: AsJson = False,
) -> int:
    """Check all route files and report every mistake; connects to nothing.

    Warnings are about what Halo would ignore or is known to need. Exit code: 0 without a mistake, 2 with one.
    """
    from worker.cli.check import check as check_routes
    from worker.settings import load_settings

    settings = load_settings(os.environ)
    return check_routes(directory or settings.routes, os.environ, settings.secrets, form=Format.JSON if as_json else form, strict=strict)


@app.command()
def demo() -> int:
    """Watch data move between a simulated Halo and a broker.

    Ends within a minute. Uses an embedded broker, or the one of WORKER_AMQP_URL.
    """
    from worker.cli.demo import demo as show

    return show(os.environ)


@app.command()
def sandbox(
    *,
    host: Annotated[str, typer.Option(help="Interface to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8090,
    seed: Annotated[int, typer.Option(help="The same seed gives the same records.")] = 1,
    tickets: Annotated[int, typer.Option(min=0, help="Number of tickets; the numbers of other records follow from it.")] = 200,
    activity: Annotated[float, typer.Option(min=0, help="Changes per second that other users make.")] = 0.0,
    page_cap: Annotated[int, typer.Option(min=0, help="Maximum rows of a page, whatever a request asks for (0 = no limit).")] = 100,
    rate_limit: Annotated[int, typer.Option(min=0, help="Maximum requests in any five minutes (0 = no limit).")] = 700,
    record: Annotated[
        str | None, typer.Option(metavar="URL", help="Pass requests on to this Halo, and write its answers without personal data.", show_default=False)
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The new file of --record.")] = Path("recording.ndjson"),
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", metavar="NAME", help="Keep the name of this member in a recording, though the published API does not have it.", show_default=False
        ),
    ] = None,
    writes: Annotated[bool, typer.Option("--writes", help="Let --record pass on other requests than reads; they are never recorded.")] = False,
    replay: Annotated[Path | None, typer.Option(metavar="FILE", help="Serve a recording: reads only.", show_default=False)] = None,
) -> int:
    """Run a simulated HaloITSM server, for developing routes.

    With --record it is a proxy in front of a real Halo instead, and with --replay it serves what the proxy recorded.
    """
    if record is not None or replay is not None:
        from worker.cli.recorded_halo import run_recorded

        return run_recorded(record, replay, out, host=host, port=port, keep=keep or [], writes=writes)
    from worker.cli.sandbox import run_sandbox

    return run_sandbox(host=host, port=port, seed=seed, tickets=tickets, activity=activity, page_cap=page_cap or None, rate_limit=rate_limit or None)


@app.command()
def entities(
    text: Annotated[str, typer.Argument(help="An entity, or a part of its name. Default: all.")] = "",
    member: Annotated[
        str, typer.Option("--member", metavar="NAME", help="Show only the members of its POST whose name has this part; `fields.value` is one inside another.")
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Show the entities of the Halo API, or one of them with its parameters and with the members that a POST takes."""
    from worker.cli.entities import print_entities

    return print_entities(text, as_json=as_json, member=member)


@app.command()
def actions(name: Annotated[str, typer.Argument(help="An action, such as create_ticket. Default: all.")] = "", as_json: AsJson = False) -> int:
    """Show the Halo API actions of runbooks, or one of them with the JSON that it takes."""
    from worker.cli.actions import print_actions

    return print_actions(name, as_json=as_json)


app.command("plan")(plan)
app.command("test")(run_examples)
app.command("init")(init)
app.command("call")(call)
app.command("start")(start)


@app.command()
def register(
    name: Annotated[str, typer.Argument(metavar="WEBHOOK")],
    url: Annotated[str, typer.Option(help="Public address of the worker, as Halo reaches it: https://hooks.example.com.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what the command would send to Halo, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove notifications without asking.")] = False,
) -> int:
    """Create a webhook and its notifications in Halo, or repair them; reports when Halo has switched it off."""
    from worker.cli.register import register as register_webhook

    return register_webhook(name, url, os.environ, dry_run=dry_run, yes=yes)


app.add_typer(runbook, name="runbook")
app.add_typer(cursor, name="cursor")
app.command("backfill")(backfill)
app.add_typer(dead, name="dead")
app.command("status")(show_status)
app.command("pause")(pause_route)
app.command("resume")(resume_route)
app.command("trace")(trace)
app.command("doctor")(doctor)
app.command("asyncapi")(asyncapi)
app.add_typer(catalogue, name="catalogue")


@app.command()
def permissions(
    directory: Annotated[Path | None, typer.Argument(metavar="DIR", help="Directory of the route files. Default: WORKER_ROUTES.", show_default=False)] = None,
    readers: Annotated[
        list[str] | None,
        typer.Option(
            "--reader", metavar="QUEUE", help="Add a reader that declares this queue for events; QUEUE=EXCHANGE for one exchange.", show_default=False
        ),
    ] = None,
    ctl: Annotated[bool, typer.Option("--ctl", help="Print `rabbitmqctl` commands.")] = False,
    vhost: Annotated[str, typer.Option(help="Virtual host of these commands.")] = "/",
    as_json: AsJson = False,
) -> int:
    """Show the RabbitMQ permissions that the worker, its operators, senders and readers need for these routes; connects to nothing."""
    from worker.cli.permissions import print_permissions
    from worker.config.loader import load_routes
    from worker.settings import load_settings

    settings = load_settings(os.environ)
    routes = load_routes(directory or settings.routes, os.environ, settings.secrets)
    return print_permissions(routes, readers or [], vhost, ctl=ctl, as_json=as_json)


@app.command()
def schema() -> int:
    """Print the JSON Schema of route files, for editors."""
    from worker.cli.schema import print_schema

    return print_schema()


@app.command()
def version() -> int:
    """Print the version."""
    print_version(asked=True)
    return 0


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        app(prog_name="halo-worker")
    except ConfigError as error:
        print_problems(error.problems, total=False)
        sys.exit(WRONG_USAGE)
    except WorkerError as error:
        errors().print(f"halo-worker: {error}", soft_wrap=True)
        sys.exit(FAILED)
    except Exception as error:  # noqa: BLE001  the outermost place: the user gets a sentence instead of a traceback
        tell_unexpected(error)
        sys.exit(FAILED)


def tell_unexpected(error: Exception) -> None:
    """Print a sentence about an unexpected failure; the traceback, without values of variables, only at debug level."""
    debug = os.environ.get("WORKER_LOG_LEVEL", "").strip().lower() == "debug"
    if debug:
        errors().print(redact_text("".join(traceback.format_exception(error))), soft_wrap=True)
    hint = "" if debug else " (set WORKER_LOG_LEVEL=debug for the traceback)"
    errors().print(f"halo-worker: unexpected error: {redact_text(first_cause(error))}{hint}", soft_wrap=True)


def first_cause(error: Exception) -> str:
    """Return the type and the text of a failure; for a group also those of its first member, at any depth."""
    told = f"{type(error).__name__}: {error}"
    return f"{told}: {first_cause(error.exceptions[0])}" if isinstance(error, ExceptionGroup) else told
