"""The commands of `halo-worker runbook`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from worker.cli.authoring import AsJson

runbook = typer.Typer(help="Show runbooks; import those of Halo, and export them to it.", no_args_is_help=True, rich_markup_mode=None)
Client = Annotated[str, typer.Option(help="The client, as route files name it, that Halo API actions write to.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Directory for the route files. Default: WORKER_ROUTES.", show_default=False)]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there.")]


@runbook.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print Mermaid text for documentation.")] = False,
) -> int:
    """Draw a runbook as a flow chart."""
    from worker.cli.runbook import show_runbook
    from worker.settings import load_settings

    settings = load_settings(os.environ)
    return show_runbook(name, settings.routes, os.environ, settings.secrets, mermaid=mermaid)


@runbook.command("import")
def import_documents(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="JSON of Halo: runbooks, integrations and methods, alone, in lists, or as {runbooks, integrations, methods}."),
    ],
    out: Out = None,
    client: Client = "main",
    force: Force = False,
    as_json: AsJson = False,
) -> int:
    """Write route files for Halo's runbooks and integrations; connects to nothing.

    What has no counterpart is refused by the name of its step. Secrets become variables, and the report lists those to set. Ends with 1 when something was refused.
    """
    from worker.cli.runbook_import import import_files
    from worker.settings import load_settings

    return import_files(files, out or load_settings(os.environ).routes, client, os.environ, force=force, as_json=as_json)


@runbook.command("pull")
def pull(
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="A client of the route files: its Halo is asked.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="A runbook, as Halo names it. Default: all.")] = "",
    out: Out = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the documents to this file, without secrets, and no route files.", show_default=False)
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> int:
    """Fetch runbooks from Halo, with their integrations and the runbooks that they start, and import them."""
    from worker.cli.runbook_pull import PullOptions
    from worker.cli.runbook_pull import pull as pull_runbooks

    return pull_runbooks(client, name, os.environ, PullOptions(out, save, force, as_json))


@runbook.command("export")
def export(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A runbook or an integration of the route files.")],
    directory: Annotated[
        Path | None, typer.Option("--routes", metavar="DIR", help="Directory of the route files. Default: WORKER_ROUTES.", show_default=False)
    ] = None,
) -> int:
    """Print Halo's document of a runbook or an integration; connects to nothing.

    What was imported keeps the numbers and members of Halo's document. Secrets stay variables: `${NAME}`.
    """
    from worker.cli.runbook_export import export as export_document
    from worker.settings import load_settings

    return export_document(name, directory or load_settings(os.environ).routes)
