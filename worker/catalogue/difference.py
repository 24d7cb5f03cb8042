"""The differences between two catalogues: operations, their parameters, and their bodies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from worker.catalogue.catalogue import Catalogue
from worker.catalogue.operation import Operation


@dataclass(frozen=True, slots=True)
class CatalogueDifference:
    """`added`: only the other catalogue has it. `parameter`: None for the whole operation; `part`: place of a parameter. `ours`, `theirs`: types or shapes."""

    change: Literal["added", "removed", "changed"]
    method: str
    path: str
    part: Literal["operation", "path", "query", "body"] = "operation"
    parameter: str | None = None
    ours: str | None = None
    theirs: str | None = None


def differences(ours: Catalogue, theirs: Catalogue) -> Iterator[CatalogueDifference]:
    """Yield all differences, by path; names compare without case."""
    mine, others = by_name(ours), by_name(theirs)
    for key in sorted({*mine, *others}):
        one, other = mine.get(key), others.get(key)
        if one is None or other is None:
            found = one or other
            if found is not None:
                yield CatalogueDifference("added" if one is None else "removed", found.method, found.path)
            continue
        yield from parameter_differences(one, "path", one.path_parameters, other.path_parameters)
        yield from parameter_differences(one, "query", one.query_parameters, other.query_parameters)
        if one.body != other.body:
            shapes = [operation.body.value if operation.body else None for operation in (one, other)]
            yield CatalogueDifference("changed", one.method, one.path, "body", None, *shapes)


def by_name(catalogue: Catalogue) -> dict[tuple[str, str], Operation]:
    return {(operation.path.lower(), operation.method): operation for operation in catalogue.operations()}


def parameter_differences(
    operation: Operation, part: Literal["path", "query"], ours: Mapping[str, str], theirs: Mapping[str, str]
) -> Iterator[CatalogueDifference]:
    mine, others = ({name.lower(): (name, kind) for name, kind in types.items()} for types in (ours, theirs))
    for key in sorted({*mine, *others}):
        name = (mine.get(key) or others[key])[0]
        one, other = mine.get(key, (None, None))[1], others.get(key, (None, None))[1]
        if one != other:
            change: Literal["added", "removed", "changed"] = "added" if one is None else "removed" if other is None else "changed"
            yield CatalogueDifference(change, operation.method, operation.path, part, name, one, other)
