"""`halo-worker catalogue compare`: shows how a tenant's OpenAPI file differs from the built-in catalogue, and whether the routes fit it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.text import Text
from yarl import URL

from worker.catalogue.catalogue import Catalogue, load
from worker.catalogue.difference import CatalogueDifference, differences
from worker.catalogue.errors import NotOpenApi
from worker.catalogue.tenant import MAX_BYTES, parse_openapi
from worker.cli.check_formats import problem_object
from worker.cli.console import errors, output, table, with_noun, write_json
from worker.cli.problems import print_problems
from worker.config.loader import SUFFIXES, load_routes
from worker.config.references import CatalogueOverride
from worker.config.routes import Client, Routes
from worker.core.errors import ConfigError, Problem
from worker.core.suggest import choices
from worker.core.text_files import UnreadableFile, read_regular
from worker.halo.openapi_file import fetch_openapi

FITS, LACKS = 0, 1
COLUMNS = ("change", "operation", "part", "parameter", "built-in", "tenant")


def compare(source: str, directory: Path, environment: Mapping[str, str], secrets: Path, *, client: str | None, as_json: bool) -> int:
    """Compare the catalogues. Return 0 when the tenant's API has everything that the routes use, otherwise 1. `source`: an address or a file.

    Raises `ConfigError`, for mistakes in the route files only after the differences are shown, and `NotFetched`.
    """
    files = RouteFiles(directory, environment, secrets)
    own = find_client(files.load(), client) if client is not None else None
    theirs = read_source(source, own)
    found = list(differences(load(), theirs))
    if not as_json:
        show_difference(source, theirs, found)
    exist = client is not None or has_routes(directory)
    problems: Sequence[Problem] = ()
    if exist:
        problems = files.misfits(CatalogueOverride(theirs, client), files.load().warnings)
    if as_json:
        lacking = [problem_object(problem) for problem in problems] if exist else None
        write_json({"fits": not problems, "operations": len(theirs.operations()), "differences": [asdict(each) for each in found], "routes": lacking})
    else:
        show_routes(problems, exist=exist)
    return LACKS if problems else FITS


@dataclass(frozen=True, slots=True)
class RouteFiles:
    """A directory of route files, and the sources of their variables."""

    directory: Path
    environment: Mapping[str, str]
    secrets: Path

    def load(self) -> Routes:
        """Raises `ConfigError`."""
        return load_routes(self.directory, self.environment, self.secrets)

    def misfits(self, compared: CatalogueOverride, known: Sequence[Problem]) -> Sequence[Problem]:
        """Return each part that the routes use and the catalogue lacks, with its place in the route files. `known`: warnings that have another reason."""
        problems: Sequence[Problem] = ()
        try:
            warnings = load_routes(self.directory, self.environment, self.secrets, compared).warnings
        except ConfigError as error:
            problems, warnings = error.problems, error.warnings
        return sorted({*problems, *warnings} - {*known})


def has_routes(directory: Path) -> bool:
    return directory.is_dir() and any(path.suffix in SUFFIXES for path in directory.iterdir())


def find_client(routes: Routes, name: str) -> Client:
    """Raises `ConfigError` when the route files have no such client."""
    if name not in routes.clients:
        raise ConfigError([Problem("--client", 0, 0, f"there is no client {name!r}{choices(name, routes.clients)}")])
    return routes.clients[name]


def read_source(source: str, client: Client | None) -> Catalogue:
    """Raises `ConfigError` for a file that cannot be used, `NotFetched`."""
    try:
        if source.startswith(("http://", "https://")):
            return parse_openapi(asyncio.run(fetch_openapi(address_of(source), client)))
        return parse_openapi(read_regular(Path(source), MAX_BYTES))
    except (UnreadableFile, NotOpenApi) as error:
        raise ConfigError([Problem(source.partition("?")[0], 0, 0, f"it {error}")]) from None


def address_of(source: str) -> URL:
    """Raises `ConfigError`."""
    try:
        url = URL(source)
    except ValueError:
        url = URL()
    if not url.host or url.user is not None or url.password is not None or url.fragment:
        raise ConfigError([Problem("SOURCE", 0, 0, "it must be an address such as https://acme.haloitsm.com, without credentials, or a file")])
    return url


def show_difference(source: str, theirs: Catalogue, found: Sequence[CatalogueDifference]) -> None:
    console = output()
    if found:
        shown = table(console, *COLUMNS)
        for each in found:
            shown.add_row(each.change, f"{each.method} {each.path[1:]}", each.part, each.parameter or "", each.ours or "", each.theirs or "")
        console.print(shown)
    counts = Counter((each.change, "operation" if each.part == "operation" else "parameter") for each in found)
    summary = ", ".join(f"{with_noun(count, what)} {change}" for (change, what), count in sorted(counts.items())) or "no difference"
    console.print(f"{source.partition('?')[0]}: {with_noun(len(theirs.operations()), 'operation')}; {summary}", soft_wrap=True)


def show_routes(problems: Sequence[Problem], *, exist: bool) -> None:
    if not exist:
        output().print("no route files: only the catalogues were compared", soft_wrap=True)
    elif not problems:
        output().print(Text("good: the tenant's API has everything that the routes use", style="green"))
    else:
        errors().print("the tenant's API does not have what these places in the route files use:", soft_wrap=True)
        print_problems(problems)
