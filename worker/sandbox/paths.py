"""Finds the operation that a request addresses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import unquote

from worker.catalogue.catalogue import load
from worker.catalogue.operation import Operation

PATH_PARAMETER = re.compile(r"\\\{(\w+)\\\}")


@dataclass(frozen=True, slots=True)
class PathMatch:
    """`table`: the path of the records in lower case, `tickets` for `/Tickets/{id}`. `values`: the path parameters as written."""

    operation: Operation
    table: str
    values: Mapping[str, str]

    @property
    def id_type(self) -> str:
        """`integer`, `string` or `uuid`."""
        return self.operation.path_parameters.get("id", "integer")


class PathNotPublished(Exception):
    """No operation has this path: 404."""


class MethodNotPublished(Exception):
    """The path has other methods only: 405."""


class Paths:
    """Matches case-insensitively; a literal path wins over one with parameters."""

    def __init__(self, operations: Mapping[str, Mapping[str, Operation]]) -> None:
        self._plain = {path: methods for path, methods in operations.items() if "{" not in path}
        self._patterns: dict[int, list[tuple[re.Pattern[str], Mapping[str, Operation]]]] = {}
        for path, methods in operations.items():
            if "{" in path:
                pattern = re.compile(PATH_PARAMETER.sub(r"(?P<\1>[^/]+)", re.escape(path)), re.IGNORECASE)
                self._patterns.setdefault(path.count("/"), []).append((pattern, methods))

    def match(self, method: str, path: str) -> PathMatch:
        """`path` begins with a slash and is relative to `/api`. Raises `PathNotPublished` or `MethodNotPublished`."""
        methods, values = self._find(path.rstrip("/"))
        if method not in methods:
            raise MethodNotPublished
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
        raise PathNotPublished


def table_of(path: str) -> str:
    """The table that holds the records of a path."""
    return re.sub(r"/\{\w+\}$", "", path).strip("/").lower()


@cache
def published_paths() -> Paths:
    operations: dict[str, dict[str, Operation]] = {}
    for operation in load().operations():
        operations.setdefault(operation.path.lower(), {})[operation.method] = operation
    return Paths(operations)
