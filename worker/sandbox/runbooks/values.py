"""Variables of a run and the texts that use them: `<<Name>>`, `<<response^items[0]^id!>>`, `<<request^x>>`, `<<ticket^id>>`.

Substitution is textual, as in Halo: the text gets a value's JSON text, and `!` leaves out the quotes of a text. A literal value of the document is plain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

REFERENCE = re.compile(r"<<(.*?)>>", re.DOTALL)
PART = re.compile(r"\^(?P<member>[^\^\[\]]+)|\[(?P<index>\d+)\]|\[(?P<name>[^\]=]+)=(?P<value>[^\]]*)\]")
ROOTS = ("response", "request", "ticket")
MISSING = object()


class Unresolved(Exception):
    """A variable that cannot be resolved: it fails the step."""


@dataclass
class RunValues:
    """`variables`: by name, with whether each is plain text. `response`: of the last call, or the element of an iteration while its mappings are read."""

    request: Any = None
    response: Any = None
    variables: dict[str, tuple[Any, bool]] = field(default_factory=dict)

    def resolve(self, expression: str) -> tuple[Any, bool]:
        """Return the value, `MISSING` if there is none, and whether it is plain."""
        text = expression.strip()
        plain = text.endswith("!")
        path = text.removesuffix("!")
        root = next((name for name in ROOTS if path == name or path.startswith((f"{name}^", f"{name}["))), None)
        if root is None:
            return self.variables.get(text, (MISSING, False))
        ticket = self.request.get("ticket", MISSING) if isinstance(self.request, Mapping) else MISSING
        document = {"response": self.response, "request": self.request, "ticket": ticket}[root]
        return follow(document, path[len(root) :]), plain

    def fill(self, text: str) -> str:
        """Raises `Unresolved`."""
        return "".join(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[str]:
        start = 0
        for found in REFERENCE.finditer(text):
            yield text[start : found.start()]
            value, plain = self.resolve(found[1])
            if value is MISSING:
                raise Unresolved(f"<<{found[1]}>>")
            yield inserted(value, plain=plain)
            start = found.end()
        yield text[start:]

    def map(self, rows: Any) -> None:
        """Set the variables of mappings: `{key, value: "<<response^x!>>"}`. If the answer lacks a value, the variable gets none."""
        for row in rows if isinstance(rows, list) else ():
            inner = REFERENCE.fullmatch(str(row.get("value") or "").strip())
            value, plain = self.resolve(inner[1]) if inner is not None else (row.get("value"), True)
            if value is MISSING:
                self.variables.pop(str(row["key"]), None)
            else:
                self.variables[str(row["key"])] = (value, plain)


def follow(document: Any, path: str) -> Any:
    """Return the value at a path below a document; `MISSING` for an absent value or an invalid path."""
    value, at = document, 0
    while at < len(path):
        found = PART.match(path, at)
        if found is None:
            return MISSING
        value, at = step(value, found), found.end()
    return value


def step(value: Any, part: re.Match[str]) -> Any:
    if part["member"] is not None:
        return value.get(part["member"], MISSING) if isinstance(value, Mapping) else MISSING
    if not isinstance(value, list):
        return MISSING
    if part["index"] is not None:
        index = int(part["index"])
        return value[index] if index < len(value) else MISSING
    name, wanted = part["name"].strip(), part["value"].strip()
    return next((item for item in value if isinstance(item, Mapping) and name in item and plain_text(item[name]) == wanted), MISSING)


def inserted(value: Any, *, plain: bool) -> str:
    return value if isinstance(value, str) and plain else compact(value)


def plain_text(value: Any) -> str:
    """Return a value as text: a whole number without a fraction, `true`, `false`, JSON for the rest."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return compact(value)


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def declared(row: Mapping[str, Any]) -> tuple[Any, bool]:
    """Return a variable's literal value in the document, by its `data_type`: 0 object, 1 array, 3 int, 4 float, 5 bool; the others are text."""
    text, kind = str(row.get("value") or ""), row.get("data_type")
    if kind in (0, 1, 3, 4, 5) and text.strip():
        try:
            return json.loads(text), False
        except ValueError:
            return MISSING, False
    empty: Any = {0: {}, 1: []}.get(kind if isinstance(kind, int) else 2, "")
    return text or empty, True
