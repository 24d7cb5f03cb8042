"""The facts that the translation of a runbook needs about the methods that it calls, and the runbooks that it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.translation.halo_steps import HaloStep, is_number


@dataclass(frozen=True, slots=True)
class KnownMethod:
    """A translated method. `name`: integration.method; `uses`, `sets`: variables; `plain`: the variables that it sets to texts."""

    name: str
    uses: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ImportContext:
    """Everything around one runbook document. `methods`: by Halo's id; `refused`: ids of methods without a counterpart, with the reason.

    `runbooks`: names by Halo's GUID, in lower case; `client`: the Halo client of its actions.
    """

    methods: Mapping[int, KnownMethod] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    runbooks: Mapping[str, str] = field(default_factory=dict)
    client: str = "main"

    def method_of(self, step: HaloStep) -> KnownMethod | None:
        """Return the method that a step calls; None if it calls no method, or an unknown one."""
        number = step.document.get("auto_action_type")
        return self.methods.get(number) if step.kind == "method" and is_number(number) else None
