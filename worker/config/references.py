"""What the route files define, for those definitions that check_reference to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from worker.catalogue.catalogue import Catalogue
from worker.config.automation import Integration, Method
from worker.config.config_node import ConfigNode
from worker.config.parameters import members_of
from worker.config.routes import Client
from worker.core.errors import Problem
from worker.core.suggest import choices


@dataclass(frozen=True, slots=True)
class References:
    """`definitions` are all of them, also those that could not be compiled; `clients` and `integrations` are those that could."""

    catalogue: Catalogue
    definitions: Sequence[ConfigNode] = ()
    clients: Mapping[str, Client] = field(default_factory=dict)
    integrations: Mapping[str, Integration] = field(default_factory=dict)

    def names(self, kind: str) -> list[str]:
        """The names that are defined under a key of the route files."""
        return [str(node.path[1]) for node in self.definitions if node.path[0] == kind]

    def methods(self) -> list[str]:
        """The full names of all methods."""
        nodes = [node for node in self.definitions if node.path[0] == "integrations"]
        return [f"{node.path[1]}.{name}" for node in nodes if isinstance(node.value, dict) for name in members_of(node.child("methods"))]

    def method(self, full_name: str) -> Method | None:
        """The method that `integration.method` names, where its integration could be compiled."""
        integration, _, name = full_name.rpartition(".")
        found = self.integrations.get(integration)
        return found.methods.get(name) if found is not None else None


def check_reference(name: str, noun: str, valid: Sequence[str], node: ConfigNode, problems: list[Problem]) -> None:
    """A problem when there is nothing of this name."""
    if name not in valid:
        known = choices(name, valid, none="no route file defines any")
        problems.append(node.problem(f"there is no {noun} `{name}`{known}"))
