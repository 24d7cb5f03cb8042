"""Documents of Halo from files or from a tenant: runbooks, integrations and methods, distinguished by their members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.translation.report import TranslationReport

RUNBOOK = 1
GROUPS = ("runbooks", "webhooks", "integrations", "methods", "standalone_methods")
METHOD_MEMBERS = ("integration_id", "requestbody", "uri_params", "requesttype")
INTEGRATION_MEMBERS = ("resourcebaseurl", "granttype", "tokenurl", "authorizationurl")


@dataclass
class Documents:
    """`methods`: documents outside of an integration; an integration may hold its own. `unknown`: reports about other documents."""

    runbooks: list[dict[str, Any]] = field(default_factory=list)
    integrations: list[dict[str, Any]] = field(default_factory=list)
    methods: list[dict[str, Any]] = field(default_factory=list)
    unknown: list[TranslationReport] = field(default_factory=list)

    def add(self, value: Any, source: str) -> None:
        """Add a document, a list of documents, or an object of lists such as `{runbooks, integrations, methods}`."""
        for place, document in flattened(value, source):
            if not isinstance(document, dict):
                self._refuse(place, "it is no object")
            elif kind := kind_of(document):
                {"runbook": self.runbooks, "integration": self.integrations, "method": self.methods}[kind].append(document)
            else:
                self._refuse(
                    place, "it is no document of a runbook, integration or method: a runbook has `steps`, an integration `resourcebaseurl`, a method `path`"
                )

    def _refuse(self, place: str, reason: str) -> None:
        report = TranslationReport("file", place)
        report.refuse(place, reason)
        self.unknown.append(report)

    def methods_of(self, integration: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the methods inside the integration, and the methods that name it."""
        own = integration.get("methods")
        found = [method for method in own if isinstance(method, dict)] if isinstance(own, list) else []
        known = [method.get("id") for method in found]
        beside = [method for method in self.methods if belongs(method, integration) and method.get("id") not in known]
        return [*found, *beside]

    def lonely_methods(self) -> Iterator[dict[str, Any]]:
        """Yield methods whose integration is not among the documents."""
        return (method for method in self.methods if not any(belongs(method, integration) for integration in self.integrations))


def belongs(method: Mapping[str, Any], integration: Mapping[str, Any]) -> bool:
    return method.get("integration_id") is not None and method.get("integration_id") == integration.get("id")


def flattened(value: Any, source: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from flattened(item, f"{source}[{index}]")
    elif isinstance(value, dict) and kind_of(value) is None and any(isinstance(value.get(group), list) for group in GROUPS):
        for group in GROUPS:
            if group in value:
                yield from flattened(value[group], f"{source}.{group}")
    else:
        yield source, value
        if isinstance(value, dict):  # a runbook of Halo's library includes its integrations
            for group in ("integrations", "standalone_methods"):
                if isinstance(value.get(group), list):
                    yield from flattened(value[group], f"{source}.{group}")


def kind_of(document: Mapping[str, Any]) -> str | None:
    if "steps" in document or document.get("type") == RUNBOOK:
        return "runbook"
    if any(member in document for member in METHOD_MEMBERS) or ("path" in document and "method" in document):
        return "method"
    return "integration" if any(member in document for member in INTEGRATION_MEMBERS) or ("authorizationtype" in document and "name" in document) else None
