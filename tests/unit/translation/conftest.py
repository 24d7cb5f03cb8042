"""Imports documents into a directory of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.tools.halo_documents import Case, copy_of
from worker.cli.halo_files import refuse_unsound, write_results
from worker.translation.documents import Documents
from worker.translation.importing import Translation, translate


def documents_of(case: Case) -> Documents:
    found = Documents()
    found.add(copy_of({"integrations": case.integrations, "runbooks": case.runbooks}), "case.json")
    return found


def imported(case: Case, directory: Path, *, force: bool = False) -> Translation:
    """Written to the directory, what is sound."""
    translation = translate(documents_of(case), "main")
    refuse_unsound(translation, directory, "main", {})
    write_results(translation, directory, "main", with_client=True, force=force)
    return translation


def refusals(translation: Translation) -> list[tuple[str, str]]:
    return [(refusal.place, refusal.reason) for report in translation.reports for refusal in report.refusals]


def filled(definition: Any, known: dict[str, str]) -> Any:
    """The definition with these variables filled in."""
    match definition:
        case str():
            for name, value in known.items():
                definition = definition.replace(f"${{{name}}}", value)
            return definition
        case list():
            return [filled(item, known) for item in definition]
        case dict():
            return {name: filled(item, known) for name, item in definition.items()}
        case _:
            return definition
