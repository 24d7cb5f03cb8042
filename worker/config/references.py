"""The names in all route files, for definitions that refer to others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from worker.catalogue.catalogue import Catalogue
from worker.config.automation import Integration, Method
from worker.config.config_node import ConfigNode
from worker.config.customer_rows import CustomerRows
from worker.config.routes import Client
from worker.core.route_names import name_for
from worker.core.suggest import choices


@dataclass(frozen=True, slots=True)
class CatalogueOverride:
    """A catalogue that replaces those of all clients, or of one."""

    catalogue: Catalogue
    client: str | None = None


@dataclass(frozen=True, slots=True)
class References:
    """`definitions`: all definitions; `clients` and `integrations`: only the compiled ones.

    `catalogue`: of the published API. `complete`: validation left nothing out of the definition that is compiled now. `customers`: of integrations, by name.
    """

    catalogue: Catalogue
    definitions: Sequence[ConfigNode] = ()
    clients: Mapping[str, Client] = field(default_factory=dict)
    integrations: Mapping[str, Integration] = field(default_factory=dict)
    complete: bool = True
    customers: Mapping[str, CustomerRows] = field(default_factory=dict)
    compared: CatalogueOverride | None = None

    def catalogue_of(self, client: str | None) -> Catalogue:
        """Return the catalogue for the routes of a client: that of its own OpenAPI file, if it names one."""
        if self.compared is not None and self.compared.client in {None, client}:
            return self.compared.catalogue
        own = self.clients.get(client or "")
        return self.catalogue if own is None or own.catalogue is None else own.catalogue

    def names(self, kind: str) -> list[str]:
        """The names that are defined in a section of the route files."""
        return [node.name for node in self.definitions if node.kind == kind]

    def subscribers(self) -> list[str]:
        """The names of all subscribers: over several clients one for each."""
        found = [(node, node.child("client")) for node in self.definitions if node.kind == "subscribers"]
        several = [name_for(node.name, each.fill(str(each.value))) for node, client in found for each in client.children.values()]
        return [node.name for node, client in found if not isinstance(client.value, list)] + several

    def methods(self) -> list[str]:
        """The full names of all methods."""
        return [f"{node.name}.{method}" for node in self.definitions if node.kind == "integrations" for method in node.child("methods").members]

    def method(self, full_name: str) -> Method | None:
        """Return the method with the name `integration.method`; None if its integration could not be compiled."""
        integration, _, name = full_name.rpartition(".")
        found = self.integrations.get(integration)
        return found.methods.get(name) if found is not None else None


def check_reference(name: str, noun: str, valid: Sequence[str], node: ConfigNode) -> None:
    """Add an error if no definition has this name."""
    if name not in valid:
        node.add_error(f"there is no {noun} `{name}`{choices(name, valid, none='no route file defines any')}")
