"""`required`: the members of a document that must be present and not empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.config.config_node import ConfigNode
from worker.config.mappings import member_name
from worker.config.template_lexer import OPEN
from worker.core.errors import ExpressionError
from worker.core.evaluation import UNDEFINED
from worker.core.suggest import did_you_mean

SHOWN = 5


@dataclass(frozen=True, slots=True)
class RequiredMember:
    """`path`: the names to it; in an array every element needs the member. `place`: where the route file asks for it."""

    path: tuple[str, ...]
    place: str

    def complaint(self, document: Any, holder: str) -> str | None:
        """Return what is wrong with the member in this document; None if it is right."""
        state = next((state for value in values_at(document, self.path) if (state := lack(value))), None)
        return None if state is None else f"`{holder}{'.'.join(self.path)}` {state} (it is required in {self.place})"


@dataclass(frozen=True, slots=True)
class Required:
    members: tuple[RequiredMember, ...] = ()

    def check(self, documents: Any, holder: str = "") -> None:
        """Raises `ExpressionError` for one document, or several in a list, that lack members; `holder`: the start of their names in errors."""
        if not self.members:
            return
        found = [member.complaint(documents, holder) for member in self.members]
        if complaints := [complaint for complaint in found if complaint]:
            raise ExpressionError("; ".join(complaints[:SHOWN]) + (f"; and {len(complaints) - SHOWN} more" if len(complaints) > SHOWN else ""))


def values_at(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """The values of a member, UNDEFINED where one is missing. A member whose own name has dots comes before a nested one."""
    if isinstance(value, list):
        for item in value or [UNDEFINED]:
            yield from values_at(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping):
        whole = ".".join(path)
        yield from (value[whole],) if whole in value else values_at(value.get(path[0], UNDEFINED), path[1:])
    else:
        yield UNDEFINED


def lack(value: Any) -> str | None:
    """Return why a value counts as missing; 0 and false do not."""
    if value is UNDEFINED:
        return "is missing"
    if value is None or (isinstance(value, (dict, list)) and not value) or (isinstance(value, str) and not value.strip()):
        return "is empty"
    return None


def compile_required(node: ConfigNode, document: ConfigNode) -> Required:
    """Compile `required`. `node`: the list of names; `document`: the node that makes the document. A member that its mapping never makes is an error."""
    members = []
    for index, name in enumerate(node.value if isinstance(node.value, list) else ()):
        item = node.child(index)
        if not isinstance(name, str) or not name:
            continue  # validation reports it
        path = tuple(name.split("."))
        if not all(path):
            item.add_error(f"`{name}` is not the name of a member, nor several with dots between them")
            continue
        place = item.problem("")
        members.append(RequiredMember(path, f"{place.file}:{place.line}"))
        if problem := impossible(document, name):
            item.add_error(problem)
    return Required(tuple(members))


def impossible(document: ConfigNode, name: str) -> str | None:
    """Return why a mapping of the route file never makes this member, or may omit it; None if only a run decides."""
    if not isinstance(document.value, dict) or any(OPEN in key for key in document.members):
        return None
    made = dict(member_name(key) for key in document.members)
    first = name if name in made else name.split(".", maxsplit=1)[0]
    if first not in made:
        return f"`required` names `{name}`, which `{document.name}` does not make{did_you_mean(first, made)}"
    return f"`required` names `{name}`, which `{first}?` marks as one that may be missing: leave one of them out" if made[first] else None
