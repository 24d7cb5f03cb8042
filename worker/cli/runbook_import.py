"""`halo-worker runbook import`: translates Halo's documents of runbooks and integrations into route files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from worker.cli.halo_files import CLIENT_SETTINGS, CLIENTS, known_ids, present_names, read_documents, refuse_unsound, uses_client, write_results
from worker.cli.import_report import show_import
from worker.settings import load_settings
from worker.translation.documents import Documents
from worker.translation.importing import translate


def import_files(files: Sequence[Path], directory: Path, client: str, environment: Mapping[str, str], *, force: bool, as_json: bool) -> int:
    """Import the files. Return 0 when everything was translated, 1 after a refusal. Raises `ConfigError`, `BrokenCopy`."""
    return import_documents(read_documents(files), directory, client, environment, force=force, as_json=as_json)


def import_documents(documents: Documents, directory: Path, client: str, environment: Mapping[str, str], *, force: bool, as_json: bool) -> int:
    """Import documents, like `import_files`."""
    present = present_names(directory, environment, load_settings(environment).secrets)
    translation = translate(documents, client, present, known_ids(directory))
    refuse_unsound(translation, directory, None if client in present["clients"] else client, environment)
    needed = uses_client(translation) and client not in present["clients"] and not (directory / CLIENTS).exists()
    files = write_results(translation, directory, client, with_client=needed, force=force)
    settings = translation.settings | (CLIENT_SETTINGS if needed else {})
    return show_import(translation, directory, files, settings, as_json=as_json)
