"""Error messages for names that the API does not have, with the nearest valid ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from worker.catalogue.operation import Operation
from worker.catalogue.published import METHODS, PARAMETER
from worker.core.suggest import did_you_mean, nearest

SHOWN = 3
LISTED = 12


def either(names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(names))


def unknown_query(operation: Operation, name: str) -> str:
    """Return a sentence for a query parameter that the operation does not have, with the nearest names."""
    valid = operation.query_parameters
    problem = f"{operation.method} {operation.entity} has no query parameter {name!r} (Halo would ignore it; if yours knows it, name it in `allow_unknown`)"
    if not valid:
        return f"{problem}; it has none"
    near = did_you_mean(name, valid)
    if near:
        return problem + near
    more = f" and {len(valid) - LISTED} more" if len(valid) > LISTED else ""
    return f"{problem}; it has {', '.join(list(valid)[:LISTED])}{more}"


class Advice:
    """Messages about unknown names. `methods`: by path in lower case; `aliases`: from lower case to first segments."""

    def __init__(self, methods: Mapping[str, Mapping[str, Operation]], aliases: Mapping[str, str]) -> None:
        self._methods = methods
        self._aliases = aliases

    def unknown_entity(self, name: str) -> str:
        problem = f"there is no entity {name!r}"
        same_form = self._of_same_form(name)
        if same_form:
            return f"{problem}; did you mean {either(same_form)}? (keep the names in braces, and write their values under request.path)"
        near = self._near(name)
        if near:
            return f"{problem}; did you mean {either(near)}?"
        below = self._below(name)
        if below:
            return f"{problem}; there is {', '.join(below)}"
        return f"{problem}; `halo-worker entities` shows all"

    def no_method(self, path: str, method: str) -> str:
        entity, has = path[1:], ", ".join(self._methods[path.lower()])
        if method.lower() not in METHODS:
            hint = ": a POST of a record with its id changes it" if method in {"PUT", "PATCH"} else ""
            return f"Halo has no {method}{hint}; {entity} has {has}"
        others = self._with_method(path, method)
        where = f"; {either(others)} has" if others else ""
        return f"{entity} has no {method} (it has {has}){where}"

    def _entity(self, path: str) -> str:
        return next(iter(self._methods[path].values())).entity

    def _known_segment(self, name: str) -> str:
        first, slash, rest = name.lower().partition("/")
        return f"/{self._aliases.get(first, first).lower()}{slash}{rest}"

    def _of_same_form(self, name: str) -> list[str]:
        """Return paths that differ only in a parameter: `Client/12` and `Client/{client_id}` for `Client/{id}`."""
        wanted = self._known_segment(name)
        forms = ((path, re.sub(r"\\\{.+?\\\}", "[^/]+", re.escape(path))) for path in self._methods if PARAMETER.search(path))
        return [self._entity(path) for path, form in forms if re.fullmatch(form, wanted)][:SHOWN]

    def _near(self, name: str) -> list[str]:
        valid = {path[1:]: self._entity(path) for path in self._methods} | dict(self._aliases)
        found = dict.fromkeys(valid[near.lower()] for near in nearest(name, valid, SHOWN + 2))
        return list(found)[:SHOWN]

    def _below(self, name: str) -> list[str]:
        first = self._known_segment(name).split("/")[1]
        return [self._entity(path) for path in self._methods if path.split("/")[1] == first][: SHOWN * 2]

    def _with_method(self, path: str, method: str) -> list[str]:
        """Return paths of the same entity that have the method, the shortest first."""
        first = path.lower().split("/")[1]
        paths = [other for other, methods in self._methods.items() if other.split("/")[1] == first and method in methods]
        return [self._entity(other) for other in sorted(paths, key=lambda other: (not other.endswith("{id}"), len(other), other))[:SHOWN]]
