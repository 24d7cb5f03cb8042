"""The files of an import: reads Halo's documents, writes route files and copies, and finds existing names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from worker.config.loader import CompiledDirectory, compile_directory, route_files
from worker.core.errors import ConfigError, Problem, Undecodable
from worker.core.json_codec import decode
from worker.core.text_files import UnreadableFile, read_regular
from worker.translation.copies import FOLDER, MAX_BYTES, Kind, all_copies, copy_path
from worker.translation.documents import Documents
from worker.translation.importing import TranslatedDocument, Translation
from worker.translation.route_text import route_text

SECTION = {"runbook": "runbooks", "integration": "integrations"}
CLIENTS = "clients.yaml"
CLIENT_SETTINGS = {
    "HALO_URL": "the address of Halo: https://acme.haloitsm.com",
    "HALO_CLIENT_ID": "the client ID of the API application",
    "HALO_CLIENT_SECRET": "its secret",
}


def read_documents(files: Sequence[Path]) -> Documents:
    """Return the documents of the files. Raises `ConfigError` for a file that holds no JSON."""
    found, problems = Documents(), []
    for path in files:
        try:
            found.add(decode(read_regular(path, MAX_BYTES), MAX_BYTES), path.name)
        except (UnreadableFile, Undecodable) as error:
            problems.append(Problem(str(path), 0, 0, f"the file {error}" if isinstance(error, UnreadableFile) else str(error)))
    if problems:
        raise ConfigError(problems)
    return found


def file_of(result: TranslatedDocument) -> str:
    return f"{result.copy.kind}-{result.report.target}.yaml"


def text_of(result: TranslatedDocument) -> str:
    kind = result.copy.kind
    comment = f"Halo's {kind} “{result.report.name}”. What has no member here is in {FOLDER}/{kind}-{result.report.target}.json."
    return route_text(comment, {SECTION[kind]: {result.report.target: result.definition}})


def client_text(client: str) -> str:
    auth = {"type": "client_credentials", "client_id": "${HALO_CLIENT_ID}", "client_secret": "${HALO_CLIENT_SECRET}", "scopes": ["all"]}
    return route_text("The tenant that the actions of runbooks write to.", {"clients": {client: {"url": "${HALO_URL}", "auth": auth}}})


def uses_client(translation: Translation) -> bool:
    return any("client" in step for result in translation.runbooks.values() for step in result.definition["steps"].values())


def refuse_unsound(translation: Translation, directory: Path, client: str | None, environment: Mapping[str, str]) -> None:
    """Refuse results that `check` would refuse, before the import writes any file. The remaining results are valid.

    `directory`: the target of the files. `client`: the client to write with them; None if it exists.
    """
    while problems := problems_of(translation, directory, client, environment):
        if not any(Path(problem.file).name == file_of(result) for problem in problems for result in results_of(translation)):
            return  # the problem is in other files: `check` shows it
        for results in (translation.runbooks, translation.integrations):
            for name, result in list(results.items()):
                mine = [problem for problem in problems if Path(problem.file).name == file_of(result)]
                for problem in mine:
                    result.report.refuse(place_of(result, problem), problem.message)
                if mine:
                    del results[name]


def results_of(translation: Translation) -> list[TranslatedDocument]:
    return [*translation.integrations.values(), *translation.runbooks.values()]


def problems_of(translation: Translation, directory: Path, client: str | None, environment: Mapping[str, str]) -> tuple[Problem, ...]:
    results = results_of(translation)
    if not results:
        return ()
    with TemporaryDirectory(prefix="halo-worker-import-") as folder:
        trial = Path(folder) / "routes"
        trial.mkdir()
        for path in route_files(directory):
            if path.is_file():
                (trial / path.name).write_bytes(path.read_bytes())
        if client is not None:
            (trial / f"client-{CLIENTS}").write_text(client_text(client), "utf-8")
        for result in results:
            (trial / file_of(result)).write_text(text_of(result), "utf-8")
        stated = {"HALO_URL": "https://tenant.haloitsm.com"} | dict(environment)
        return compile_directory(trial, stated, Path(folder), placeholders=True).problems


def place_of(result: TranslatedDocument, problem: Problem) -> str:
    """Return Halo's name for the place of a mistake, as exactly as the line allows."""
    lines = text_of(result).splitlines()[: problem.line]
    within = next(
        (line.strip()[:-1] for line in reversed(lines) if line.startswith("      ") and not line.startswith("       ") and line.rstrip().endswith(":")), ""
    )
    numbers = [number for number, name in result.copy.names.items() if name == within]
    rows: Sequence[Any] = result.copy.methods if result.copy.kind == "integration" else result.copy.document.get("steps") or ()
    member = "id" if result.copy.kind == "integration" else "step_id"
    found = next((row.get("name") for row in rows if isinstance(row, dict) and row.get(member) in numbers), None)
    return str(found or within or result.report.name)


def present_names(directory: Path, environment: Mapping[str, str], secrets: Path) -> dict[str, set[str]]:
    """Return the names of the directory's definitions, except those that an import wrote; `clients` separately."""
    found: dict[str, set[str]] = {"clients": set(), "integrations": set(), "routes": set()}
    if not directory.is_dir():
        return found
    compiled: CompiledDirectory = compile_directory(directory, environment, secrets, placeholders=True)
    for node in compiled.definitions:
        kind: Kind = "integration" if node.kind == "integrations" else "runbook"
        if not copy_path(directory, kind, node.name).exists():
            found[node.kind if node.kind in found else "routes"].add(node.name)
    return found


def known_ids(directory: Path) -> dict[str, str]:
    """Return the names of imported runbooks by Halo's id. Raises `BrokenCopy`."""
    return {str(identifier).lower(): name for name, copy in all_copies(directory, "runbook").items() if (identifier := copy.document.get("id"))}


def write_results(translation: Translation, directory: Path, client: str, *, with_client: bool, force: bool) -> list[str]:
    """Write the files, and return their names. Raises `ConfigError` if one exists and `force` is not set; then it writes nothing."""
    results = results_of(translation)
    texts = {directory / file_of(result): text_of(result) for result in results}
    texts |= {copy_path(directory, result.copy.kind, result.report.target): result.copy.text() for result in results}
    texts |= {directory / CLIENTS: client_text(client)} if with_client else {}
    if there := [path for path in texts if path.exists()] if not force else []:
        raise ConfigError([Problem(str(path), 0, 0, "the file is there: give --force to replace it, or another --out") for path in there])
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for result in results:
        result.report.file = file_of(result)
    return [str(path.relative_to(directory)) for path in texts]
