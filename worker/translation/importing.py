"""Translates a set of Halo's documents to route files and copies, with a report for each document."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.config.graph import reachable_from, shortest_cycle
from worker.translation.copies import Copy
from worker.translation.documents import Documents
from worker.translation.integration_import import import_integration
from worker.translation.known_methods import ImportContext, KnownMethod
from worker.translation.naming import slug, unique
from worker.translation.report import TranslationReport
from worker.translation.runbook_import import import_runbook
from worker.translation.secrets import RESERVED, SecretExtractor, holds_reserved


@dataclass(frozen=True)
class TranslatedDocument:
    """One translated document: its definition, its copy, and its report."""

    definition: dict[str, Any]
    copy: Copy
    report: TranslationReport


@dataclass
class Translation:
    """`integrations`, `runbooks`: the complete ones by name. `reports`: of all documents, in order, including refused ones."""

    integrations: dict[str, TranslatedDocument] = field(default_factory=dict)
    runbooks: dict[str, TranslatedDocument] = field(default_factory=dict)
    reports: list[TranslationReport] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, str]:
        return {name: meaning for report in self.reports for name, meaning in report.settings.items()}

    @property
    def is_complete(self) -> bool:
        return all(report.is_complete for report in self.reports)


def translate(
    given: Documents, client: str, present: Mapping[str, Collection[str]] | None = None, imported_before: Mapping[str, str] | None = None
) -> Translation:
    """Translate the documents. `client`: the Halo client of actions. `present`: the names of other definitions: `integrations`, `routes`.

    `imported_before`: names of runbooks by Halo's id, from earlier imports; a document that is imported again keeps its name.
    """
    taker, made = SecretExtractor(), Translation(reports=list(given.unknown))
    documents = without_secrets(given, taker, made)
    known: dict[int, KnownMethod] = {}
    refused: dict[int, str] = {}
    present = present or {}
    for document in documents.integrations:
        add_integration(document, documents, made, MethodNames(known, refused, frozenset(present.get("integrations", ()))))
    for method in documents.lonely_methods():
        report = TranslationReport("integration", str(method.get("name")))
        report.refuse(str(method.get("name")), f"the integration {method.get('integration_id')!r} of the method is not among the documents")
        made.reports.append(report)
    taken = set(present.get("routes", ()))
    names: list[str] = []
    before = imported_before or {}
    for document in documents.runbooks:
        same = before.get(str(document.get("id", "")).lower())
        names.append(same if same and same not in names else unique(slug(str(document.get("name") or ""), "runbook"), {*taken, *names, *before.values()}))
    around = ImportContext(known, refused, {**before, **runbook_ids(documents, names)}, client)
    reports = [TranslationReport("runbook", str(document.get("name") or name), target=name) for document, name in zip(documents.runbooks, names, strict=True)]
    refuse_repeated(documents, reports)
    refuse_circles(documents, names, around, reports)
    for document, name, report in zip(documents.runbooks, names, reports, strict=True):
        imported = import_runbook(document, name, around, report)
        made.reports.append(report)
        if imported is not None and report.is_complete:
            made.runbooks[name] = TranslatedDocument(imported.definition, Copy("runbook", document, imported.steps, imported.added, client=client), report)
    refuse_starts(made)
    for report in made.reports:
        report.settings |= {name: meaning for name, meaning in taker.settings.items() if meaning.endswith(f" of {report.name}")}
    return made


def without_secrets(given: Documents, taker: SecretExtractor, made: Translation) -> Documents:
    """Return the documents without secrets; documents that hold the characters of the marks are left out."""
    found = Documents()
    for kind in ("integrations", "methods", "runbooks"):
        for document in getattr(given, kind):
            owner = str(document.get("integration_name") or document.get("name") or kind)
            if holds_reserved(document):
                report = TranslationReport("runbook" if kind == "runbooks" else "integration", owner)
                report.refuse(owner, RESERVED)
                made.reports.append(report)
            else:
                getattr(found, kind).append((document, owner))
    for kind in ("integrations", "methods", "runbooks"):
        setattr(found, kind, [taker.clean(document, owner) for document, owner in getattr(found, kind)])
    return found


@dataclass(frozen=True, slots=True)
class MethodNames:
    """The methods of all integrations by Halo's id, the reasons for refused methods, and the names of integrations elsewhere."""

    known: dict[int, KnownMethod]
    refused: dict[int, str]
    taken: frozenset[str]


def add_integration(document: Mapping[str, Any], documents: Documents, made: Translation, names: MethodNames) -> None:
    title = str(document.get("name") or "integration")
    name = unique(slug(title, "integration"), {*made.integrations, *names.taken})
    report = TranslationReport("integration", title, target=name)
    made.reports.append(report)
    methods = documents.methods_of(document)
    imported = import_integration(document, methods, name, report)
    for method in methods:
        if isinstance(identifier := method.get("id"), int) and (imported is None or identifier in imported.refused):
            names.refused[identifier] = f"its integration `{title}` was refused" if imported is None else imported.refused[identifier]
    if imported is not None:
        names.known.update(imported.known)
        inside = isinstance(document.get("methods"), list)
        made.integrations[name] = TranslatedDocument(
            imported.definition, Copy("integration", document, imported.methods, methods=tuple(methods), inside=inside), report
        )


def runbook_ids(documents: Documents, names: list[str]) -> dict[str, str]:
    return {str(document["id"]).lower(): name for document, name in zip(documents.runbooks, names, strict=True) if isinstance(document.get("id"), str)}


def refuse_repeated(documents: Documents, reports: list[TranslationReport]) -> None:
    """Refuse two documents with one id or one name: they are two versions, or a mistake."""
    for member in ("id", "name"):
        seen: dict[str, str] = {}
        for document, report in zip(documents.runbooks, reports, strict=True):
            value = document.get(member)
            if isinstance(value, str) and value.lower() in seen:
                report.refuse(report.name, f"another document has the same `{member}`: `{seen[value.lower()]}`")
            elif isinstance(value, str):
                seen[value.lower()] = report.name


def refuse_circles(documents: Documents, names: list[str], around: ImportContext, reports: list[TranslationReport]) -> None:
    """Refuse runbooks that start each other in a circle: in Halo they never end, and here they end at a limit."""
    starts: dict[str, set[str]] = {}
    for document, name in zip(documents.runbooks, names, strict=True):
        rows = document.get("steps")
        targets = [row.get("start_new_runbook_id") for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
        starts[name] = {around.runbooks[target.lower()] for target in targets if isinstance(target, str) and target.lower() in around.runbooks}
    for name, report in zip(names, reports, strict=True):
        if name in reachable_from(name, starts):
            report.refuse(
                report.name, f"the runbooks {' → '.join(shortest_cycle(name, starts))} start each other in a circle: here a run ends 10 runs below its first"
            )


def refused_names(made: Translation) -> set[str]:
    return {report.target for report in made.reports if report.kind == "runbook" and report.target not in made.runbooks}


def refuse_starts(made: Translation) -> None:
    """Refuse each runbook that starts a refused one."""
    while broken := {
        name: step["start"]
        for name, result in made.runbooks.items()
        for step in result.definition["steps"].values()
        if "start" in step and step["start"] in refused_names(made)
    }:
        for name, target in broken.items():
            result = made.runbooks.pop(name)
            result.report.refuse(result.report.name, f"it starts the runbook `{target}`, which was refused")
