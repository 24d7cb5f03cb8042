"""What the translation of a runbook must know of the methods that it calls, and of the runbooks that it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from worker.translation.halo_steps import HaloStep, is_number


@dataclass(frozen=True, slots=True)
class KnownMethod:
    """A translated method. `name`: integration.method; `uses`, `sets`: variables; `plain`: those that it sets to texts."""

    name: str
    uses: frozenset[str] = frozenset()
    sets: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything beside one runbook document. `methods`: by Halo's id; `refused`: ids of methods that have no counterpart, with the reason.

    `runbooks`: names by Halo's GUID, in lower case; `client`: the Halo client of its actions.
    """

    methods: Mapping[int, KnownMethod] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    runbooks: Mapping[str, str] = field(default_factory=dict)
    client: str = "main"

    def method_of(self, step: HaloStep) -> KnownMethod | None:
        """The method that a step calls; None where it calls none, or one that is not known."""
        number = step.document.get("auto_action_type")
        return self.methods.get(number) if step.kind == "method" and is_number(number) else None
