"""Shows the report of an import: the translations, the refusals, and the variables to set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from worker.cli.console import output, table, with_noun, write_json
from worker.translation.importing import Translation
from worker.translation.report import TranslationReport

GOOD, REFUSED = 0, 1


def show_import(translation: Translation, directory: Path, files: Sequence[str], settings: dict[str, str], *, as_json: bool) -> int:
    """Show the report. Return 0 when everything was translated, 1 after a refusal."""
    if as_json:
        documents = [dict(report.as_json()) for report in translation.reports]
        write_json({"documents": documents, "files": list(files), "set": settings})
    else:
        for report in translation.reports:
            show_report(report)
        show_end(translation, directory, files, settings)
    return GOOD if translation.is_complete else REFUSED


def show_report(report: TranslationReport) -> None:
    console = output()
    console.print(Text.assemble((f"{report.kind} {report.name}", "bold"), f" → {report.file}" if report.file else " → not written"), soft_wrap=True)
    if report.lines and report.file:
        lines = table(console, "in Halo", "is", "here", "difference")
        for line in report.lines:
            lines.add_row(line.place, line.halo, line.here, line.difference)
        console.print(lines)
    for refusal in report.refusals:
        console.print(Text.assemble(("  refused: ", "red"), f"{refusal.place}: {refusal.reason}"), soft_wrap=True)


def show_end(translation: Translation, directory: Path, files: Sequence[str], settings: dict[str, str]) -> None:
    console = output()
    if settings:
        console.print(Text("Set before the worker starts, in its environment:", style="bold"), soft_wrap=True)
        for name, meaning in sorted(settings.items()):
            console.print(Text(f"  {name}  {meaning}"), soft_wrap=True)
    refused = sum(not report.is_complete for report in translation.reports)
    written = f"{with_noun(len(files), 'file')} in {directory}" if files else "nothing was written"
    console.print(Text(f"{written}; {with_noun(refused, 'document')} refused, in whole or in part" if refused else written), soft_wrap=True)
    if files:
        console.print(Text(f"Next: halo-worker check {directory}"), soft_wrap=True)
