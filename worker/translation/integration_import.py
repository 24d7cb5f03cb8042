"""Translates an integration document of Halo, with its methods, to an integration of a route file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.translation.halo_steps import is_number
from worker.translation.integration_auth import address, auth_of
from worker.translation.known_methods import KnownMethod
from worker.translation.methods_import import import_method, known_method
from worker.translation.naming import slug, unique
from worker.translation.report import TranslationReport, Untranslatable

RELATIVE = ("tokenurl", "authorizationurl")


@dataclass(frozen=True)
class ImportedIntegration:
    """`methods`: the names by Halo's ids. `known`: the facts about them that runbooks need; `refused`: why a method has no counterpart."""

    definition: dict[str, Any]
    methods: dict[int, str] = field(default_factory=dict)
    known: dict[int, KnownMethod] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)


def import_integration(document: Mapping[str, Any], methods: Sequence[Mapping[str, Any]], name: str, report: TranslationReport) -> ImportedIntegration | None:
    """Translate the integration; a refused method does not stop the others. None if no part can be translated. The report has every refusal."""
    try:
        base_url = address(document, "resourcebaseurl").rstrip("/")
        auth, more = auth_of(document, name, report)
    except Untranslatable as error:
        report.refuse(str(document.get("name")), str(error))
        return None
    report.add("authorization", f"authorizationtype {document.get('authorizationtype') or 0}", f"auth: {auth['type']}")
    made = ImportedIntegration({"base_url": base_url, "auth": auth} | more)
    definitions: dict[str, Any] = {}
    for method in methods:
        add_method(method, document, name, made, definitions, report)
    if not definitions:
        report.refuse(str(document.get("name")), "the integration has no method that can be translated")
        return None
    made.definition["methods"] = definitions
    return made


def add_method(
    method: Mapping[str, Any], document: Mapping[str, Any], integration: str, made: ImportedIntegration, definitions: dict[str, Any], report: TranslationReport
) -> None:
    title, identifier = method.get("name"), method.get("id")
    title = title if isinstance(title, str) and title.strip() else f"method {identifier}"
    if not is_number(identifier):
        report.refuse(title, "the method has no number (`id`)")
        return
    if identifier in made.methods or identifier in made.refused:
        report.refuse(title, f"the number {identifier} (`id`) is taken by another method")
        return
    try:
        definition = import_method(method, document, report)
    except Untranslatable as error:
        made.refused[identifier] = f"`{title}`: {error}"
        report.refuse(title, str(error))
        return
    short = unique(slug(title, f"method-{identifier}"), definitions)
    definitions[short] = definition
    made.methods[identifier] = short
    made.known[identifier] = known_method(f"{integration}.{short}", definition, method)
    report.add(title, f"method {identifier}", f"{integration}.{short}: {definition['method']} {definition['path']}")
