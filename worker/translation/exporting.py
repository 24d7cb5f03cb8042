"""Exports one definition of a directory of route files as Halo's document, with the members from the copies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.config.variables import VariableSyntaxError, parse_variable
from worker.translation.copies import Copy, all_copies
from worker.translation.export_graph import free_numbers
from worker.translation.integration_export import export_integration
from worker.translation.integration_import import import_integration
from worker.translation.known_methods import ImportContext, KnownMethod
from worker.translation.report import TranslationReport
from worker.translation.runbook_export import ExportContext, export_runbook

Definitions = Mapping[str, Mapping[str, Any]]


def export(kind: str, name: str, integrations: Definitions, runbooks: Definitions, directory: Path, report: TranslationReport) -> Any:
    """Return the document; None after refusals. `kind`: `runbook` or `integration`. Raises `BrokenCopy`."""
    copies, books = all_copies(directory, "integration"), all_copies(directory, "runbook")
    numbers = method_numbers(integrations, copies, report if kind == "runbook" else None)
    if kind == "integration":
        return export_integration(name, integrations[name], copies.get(name), numbers, report)
    copy = books.get(name)
    known: dict[int, KnownMethod] = {}
    for other, each in copies.items():
        imported = import_integration(each.document, each.methods, other, TranslationReport("integration", other))
        known |= imported.known if imported is not None else {}
    guids = {other: str(each.document["id"]) for other, each in books.items() if each.document.get("id")}
    around = ImportContext(known, {}, {guid.lower(): other for other, guid in guids.items()}, copy.client if copy is not None else "main")
    for step, each in runbooks[name]["steps"].items():
        if "customers" in integrations.get(str(each.get("method")).rpartition(".")[0], {}):
            report.refuse(step, f"the integration of {each['method']} has `customers`, which have no counterpart in Halo")
    return export_runbook(name, runbooks[name], copy, ExportContext(around, numbers, guids, plain_outputs(integrations)), report)


def method_numbers(integrations: Definitions, copies: Mapping[str, Copy], report: TranslationReport | None) -> dict[str, int]:
    """Return numbers by integration.method: Halo's own if a copy has it, otherwise free numbers, the same at each export."""
    found = {f"{name}.{short}": number for name, copy in copies.items() for number, short in copy.names.items()}
    free = free_numbers(set(found.values()))
    for name in sorted(integrations):
        for short in integrations[name].get("methods") or {}:
            if f"{name}.{short}" not in found:
                found[f"{name}.{short}"] = next(free)
                if report is not None and name not in copies:
                    report.add(
                        f"{name}.{short}", "the number of the method", str(found[f"{name}.{short}"]), "Halo gives its own: choose the method in the step again"
                    )
    return found


def plain_outputs(integrations: Definitions) -> frozenset[str]:
    found: set[str] = set()
    for integration in integrations.values():
        for method in (integration.get("methods") or {}).values():
            for variable, path in (method.get("output") or {}).items():
                try:
                    found |= {variable} if parse_variable(str(path)).plain else set()
                except VariableSyntaxError:
                    continue  # `check` reports it
    return frozenset(found)
