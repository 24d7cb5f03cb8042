"""The commands of `halo-worker catalogue`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

catalogue = typer.Typer(help="Compare the built-in catalogue of the Halo API with a tenant's own.", no_args_is_help=True, rich_markup_mode=None)


@catalogue.callback()
def about() -> None:
    """Compare the built-in catalogue of the Halo API with a tenant's own."""


@catalogue.command()
def compare(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The address of a Halo or of its OpenAPI file, or a file that was downloaded there.")],
    directory: Annotated[
        Path | None, typer.Option("--routes", metavar="DIR", help="Directory of the route files. Default: WORKER_ROUTES.", show_default=False)
    ] = None,
    client: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Check only the routes of this client, and use its proxy and certificates.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> int:
    """Show what differs between the built-in catalogue and a tenant's OpenAPI file, and whether the tenant has what the routes use.

    Exit code 0: it has everything; 1: it lacks something, or cannot be reached; 2: the file or the route files cannot be used.
    """
    from worker.cli.catalogue import compare as compare_with
    from worker.settings import load_settings

    settings = load_settings(os.environ)
    return compare_with(source, directory or settings.routes, os.environ, settings.secrets, client=client, as_json=as_json)
