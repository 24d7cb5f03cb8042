"""Which operation of the API a request addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from worker.catalogue.catalogue import Catalogue, load
from worker.catalogue.operation import Operation

PATH_PARAMETER = re.compile(r"\\\{(\w+)\\\}")


@dataclass(frozen=True, slots=True)
class PathMatch:
    """`table`: the path of the records in lower case, `tickets` for `/Tickets/{id}`; `values` hold the path's parameters as they were written."""

    operation: Operation
    table: str
    values: Mapping[str, str]

    @property
    def id_type(self) -> str:
        """`integer`, `string` or `uuid`."""
        return self.operation.path_parameters.get("id", "integer")


class PathNotFound(Exception):
    """Nothing is there: 404."""


class MethodNotAllowed(Exception):
    """The path exists for other methods: 405."""


class Paths:
    """Matches without regard to case; a written-out path wins over one with parameters."""

    def __init__(self, operations: Mapping[str, Mapping[str, Operation]]) -> None:
        self._plain = {path: methods for path, methods in operations.items() if "{" not in path}
        self._patterns: dict[int, list[tuple[re.Pattern[str], Mapping[str, Operation]]]] = {}
        for path, methods in operations.items():
            if "{" in path:
                pattern = re.compile(PATH_PARAMETER.sub(r"(?P<\1>[^/]+)", re.escape(path)), re.IGNORECASE)
                self._patterns.setdefault(path.count("/"), []).append((pattern, methods))

    def match(self, method: str, path: str) -> PathMatch:
        """`path` begins with a slash and lies below `/api`. Raises `PathNotFound` or `MethodNotAllowed`."""
        methods, values = self._find(path.rstrip("/"))
        if method not in methods:
            raise MethodNotAllowed
        operation = methods[method]
        return PathMatch(operation, table_of(operation.path), values)

    def _find(self, path: str) -> tuple[Mapping[str, Operation], Mapping[str, str]]:
        plain = self._plain.get(unquote(path).lower())
        if plain is not None:
            return plain, {}
        for pattern, methods in self._patterns.get(path.count("/"), ()):
            match = pattern.fullmatch(path)
            if match is not None:
                return methods, {name: unquote(value) for name, value in match.groupdict().items()}
        raise PathNotFound


def table_of(path: str) -> str:
    """Where the records of a path are kept."""
    return re.sub(r"/\{\w+\}$", "", path).strip("/").lower()


@cache
def published_paths() -> Paths:
    operations: dict[str, dict[str, Operation]] = {}
    for operation in load().operations():
        operations.setdefault(operation.path.lower(), {})[operation.method] = operation
    return Paths(operations)


@cache
def text_ids() -> frozenset[str]:
    """The entities whose ids are texts, mostly GUIDs; where a POST takes a number as id, the text in the path is one."""
    catalogue = load()
    texts = [operation for operation in catalogue.operations() if operation.path_parameters.get("id") in {"string", "uuid"}]
    return frozenset(table_of(operation.path) for operation in texts if _id_in_body(catalogue, table_of(operation.path)) != "integer")


def _id_in_body(catalogue: Catalogue, entity: str) -> str | None:
    operation = catalogue.methods_of(entity).get("POST")
    return None if operation is None else catalogue.body_members(operation).get("id")
