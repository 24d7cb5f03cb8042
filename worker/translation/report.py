"""The report of a translation: each translated part and its counterpart, differences, refusals, and the variables to set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["runbook", "integration", "file"]


class Untranslatable(Exception):
    """A part of a document has no counterpart; the text says why, without values of the document that could be secret."""


@dataclass(frozen=True, slots=True)
class TranslatedPart:
    """One part of the document and its counterpart. `difference`: how the two behave differently; empty if they do not."""

    place: str
    halo: str
    here: str
    difference: str = ""


@dataclass(frozen=True, slots=True)
class RefusedPart:
    """A part without a counterpart, by its name in Halo."""

    place: str
    reason: str


@dataclass
class TranslationReport:
    """The translation of one document. `settings`: environment variables to set, with their meaning. `file`: of the result; empty after a refusal."""

    kind: Kind
    name: str
    target: str = ""
    file: str = ""
    lines: list[TranslatedPart] = field(default_factory=list)
    refusals: list[RefusedPart] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)

    def add(self, place: str, halo: str, here: str, difference: str = "") -> None:
        self.lines.append(TranslatedPart(place, halo, here, difference))

    def refuse(self, place: str, reason: str) -> None:
        self.refusals.append(RefusedPart(place, reason))

    @property
    def is_complete(self) -> bool:
        return not self.refusals

    def as_json(self) -> Mapping[str, Any]:
        """`translated` is a list of `{place, halo, here, difference?}`, `refused` one of `{place, reason}`, `set` a mapping from variables to their meaning."""
        lines = [
            {"place": each.place, "halo": each.halo, "here": each.here} | ({"difference": each.difference} if each.difference else {}) for each in self.lines
        ]
        refused = [{"place": each.place, "reason": each.reason} for each in self.refusals]
        return {
            "kind": self.kind,
            "name": self.name,
            "target": self.target,
            "file": self.file,
            "translated": lines,
            "refused": refused,
            "set": dict(self.settings),
        }
