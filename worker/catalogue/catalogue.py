"""All operations of the published Halo API, found by their names and aliases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from worker.catalogue.advice import Advice, unknown_query
from worker.catalogue.errors import MethodNotAllowed, UnknownEntity
from worker.catalogue.members import PackedSchemas, Schemas
from worker.catalogue.operation import Operation
from worker.catalogue.operations import permissive_operation, read_data, read_operations, read_schemas
from worker.catalogue.published import ARRAY


class Catalogue:
    """Finds operations, ignoring case; the first segment of a path may be an alias (`Assets` is `Asset`)."""

    def __init__(self, data: Mapping[str, Any], schemas: Callable[[], PackedSchemas] | None = None) -> None:
        """`schemas`: reads the members of bodies when they are first needed; None: `data` has them."""
        self._data = data
        self._schemas = Schemas(schemas or (lambda: data["schemas"]))
        self._methods: dict[str, dict[str, Operation]] = {}
        for operation in read_operations(data, self._schemas):
            self._methods.setdefault(operation.path.lower(), {})[operation.method] = operation
        self.aliases: Mapping[str, str] = data["aliases"]
        """Other names of first path segments: alias to published name."""
        self._by_alias = {alias.lower(): entity for alias, entity in self.aliases.items()}
        self._advice = Advice(self._methods, self._by_alias)

    @property
    def data(self) -> Mapping[str, Any]:
        """Return the source data: aliases, paths and schemas, in the form of `worker.catalogue.generate`."""
        return {**self._data, "schemas": self._schemas.packed}

    def operations(self) -> tuple[Operation, ...]:
        return tuple(operation for methods in self._methods.values() for operation in methods.values())

    def methods_of(self, entity: str) -> Mapping[str, Operation]:
        """Return the operations of a path by method; empty when there is no such path."""
        return self._methods.get(self._path(entity), {})

    def find(self, entity: str, method: str) -> Operation:
        """Return an operation by a name such as `Tickets`, `assets`, `/Actions/{id}`. Raises `UnknownEntity`, `MethodNotAllowed` with the nearest names."""
        methods = self.methods_of(entity)
        if not methods:
            raise UnknownEntity(self.advice_on(entity))
        operation = methods.get(method.upper())
        if operation is None:
            raise MethodNotAllowed(self._advice.no_method(next(iter(methods.values())).path, method.upper()))
        return operation

    def advice_on(self, entity: str) -> str:
        """Return the error message for a name that no entity has, with the nearest names."""
        return self._advice.unknown_entity(entity.strip().strip("/"))

    def details_of(self, operation: Operation) -> Operation | None:
        """Return the GET of one record for the GET of a list; None if Halo has none."""
        if operation.listing is None:
            return None
        return self._methods.get(f"{operation.path}/{{id}}".lower(), {}).get("GET")

    def check_query(self, operation: Operation, names: Iterable[str]) -> list[str]:
        """Return a sentence for each name that the operation does not publish; Halo would silently ignore it."""
        return [unknown_query(operation, name) for name in names if operation.canonical_query(name) not in operation.query_parameters]

    def unknown(self, entity: str, method: str) -> Operation:
        """Return an unpublished operation, for routes that allow it: its parameters are those in braces, and a POST takes an array.

        Raises `UnknownEntity` when the name cannot be a path.
        """
        return permissive_operation(entity, method)

    def search(self, text: str) -> tuple[Operation, ...]:
        """Return the operations whose path or alias holds the text; all for an empty text."""
        wanted = "".join(text.split()).strip("/").lower()
        entities = {entity.lower() for alias, entity in self._by_alias.items() if wanted in alias}
        return tuple(operation for operation in self.operations() if wanted in operation.path.lower() or ("/" not in wanted and operation.resource in entities))

    def body_members(self, operation: Operation) -> Mapping[str, str]:
        """Return the types of the top-level members of the body's object (of each item for an array), by name. Empty if Halo publishes none."""
        taken = operation.members
        if taken is None:
            return {}
        return {name: "array" if kind.startswith(ARRAY) else "object" if taken.inside(kind) else kind for name, kind in taken.kinds.items()}

    def _path(self, entity: str) -> str:
        """Return the path of this name in lower case, published or not."""
        first, slash, rest = "".join(entity.split()).strip("/").lower().partition("/")
        return f"/{self._by_alias.get(first, first).lower()}{slash}{rest}"


@cache
def load() -> Catalogue:
    """Return the catalogue of the published API; the file is read once."""
    return Catalogue(read_data(), read_schemas)
