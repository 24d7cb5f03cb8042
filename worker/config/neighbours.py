"""What the route files define, for those definitions that refer to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from worker.catalogue.catalogue import Catalogue
from worker.config.automation import Integration, Method
from worker.config.parameters import members_of
from worker.config.routes import Client
from worker.config.spot import Spot
from worker.core.errors import Problem
from worker.core.suggest import choices


@dataclass(frozen=True, slots=True)
class Neighbours:
    """`definitions` are all of them, also those that could not be compiled; `clients` and `integrations` are those that could."""

    catalogue: Catalogue
    definitions: Sequence[Spot] = ()
    clients: Mapping[str, Client] = field(default_factory=dict)
    integrations: Mapping[str, Integration] = field(default_factory=dict)

    def names(self, kind: str) -> list[str]:
        """The names that are defined under a key of the route files."""
        return [str(spot.path[1]) for spot in self.definitions if spot.path[0] == kind]

    def methods(self) -> list[str]:
        """The full names of all methods."""
        spots = [spot for spot in self.definitions if spot.path[0] == "integrations"]
        return [f"{spot.path[1]}.{name}" for spot in spots if isinstance(spot.value, dict) for name in members_of(spot.child("methods"))]

    def method(self, full_name: str) -> Method | None:
        """The method that `integration.method` names, where its integration could be compiled."""
        integration, _, name = full_name.rpartition(".")
        found = self.integrations.get(integration)
        return found.methods.get(name) if found is not None else None


def refer(name: str, noun: str, valid: Sequence[str], spot: Spot, problems: list[Problem]) -> None:
    """A problem when there is nothing of this name."""
    if name not in valid:
        known = choices(name, valid, none="no route file defines any")
        problems.append(spot.problem(f"there is no {noun} `{name}`{known}"))
