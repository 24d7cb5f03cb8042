"""Makes mappings, lists and texts at run time, and decides about members whose expression yields nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from worker.config.source_location import SourceLocation
from worker.core.errors import ExpressionError, Problem, Undecodable
from worker.core.evaluation import Undefined
from worker.core.json_codec import encode

G = TypeVar("G")
MissingRule = Literal["fail", "omit", "null"]
MARK = "?"
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Gap:
    """An expression that yielded nothing: its place, such as `the expression at routes/a.yaml:5:3`, and the member that it should make."""

    place: str
    member: str = ""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AbsentValue(Undefined):
    """The absent value, with its reasons."""

    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class MemberPlace:
    """The place of a value in the document that a template makes. `optional`: it may be missing."""

    path: tuple[str, ...] = ()
    optional: bool = False

    @property
    def member(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Composer(Generic[G]):
    """Compiles values; `compile_text` compiles one text."""

    missing: MissingRule
    compile_text: Callable[[str, SourceLocation, MemberPlace], Callable[[G], Any]]
    problems: list[Problem]

    def part(self, value: Any, location: SourceLocation, place: MemberPlace) -> Callable[[G], Any]:
        """Return the function that makes the value, or `AbsentValue`."""
        if isinstance(value, str):
            return self.compile_text(value, location, place)
        if isinstance(value, Mapping):
            return self._mapping(value, location, place)
        if isinstance(value, list):
            items = [self.part(item, location.child(index), MemberPlace((*place.path, str(index)))) for index, item in enumerate(value)]
            return partial(made_list, items, self.missing)
        return partial(literal_value, value)

    def _mapping(self, value: Mapping[Any, Any], location: SourceLocation, place: MemberPlace) -> Callable[[G], Any]:
        members: dict[str, tuple[Callable[[G], Any], bool]] = {}
        for key, member in value.items():
            name, optional = member_name(str(key))
            if name in members:
                self.problems.append(location.child(key).problem(f"`{name}` is given twice: with and without `{MARK}`"))
            members[name] = self.part(member, location.child(key), MemberPlace((*place.path, name), optional)), optional
        return partial(made_mapping, members, self.missing)


def literal_value(value: Any, _given: Any) -> Any:
    return value


def made_list(items: Sequence[Callable[[G], Any]], missing: MissingRule, given: G) -> Any:
    results = [item(given) for item in items]
    if missing == "null":
        return [None if isinstance(result, Undefined) else result for result in results]
    gaps = [gap for result in results for gap in gaps_of(result)] if missing == "fail" else ()
    return AbsentValue(tuple(gaps)) if gaps else [result for result in results if not isinstance(result, Undefined)]


def made_mapping(members: Mapping[str, tuple[Callable[[G], Any], bool]], missing: MissingRule, given: G) -> Any:
    made: dict[str, Any] = {}
    gaps: tuple[Gap, ...] = ()
    for name, (part, optional) in members.items():
        result = part(given)
        if not isinstance(result, Undefined):
            made[name] = result
        elif missing == "null" and not optional:
            made[name] = None
        elif missing == "fail" and not optional:
            gaps += gaps_of(result)
    return AbsentValue(gaps) if gaps else made


def member_name(key: str) -> tuple[str, bool]:
    """The name of a member, and whether it may be missing: `notes?` is an optional `notes`, and `??` at the end is one question mark of the name."""
    name = key.rstrip(MARK)
    marks = len(key) - len(name)
    return name + MARK * (marks // 2), marks % 2 == 1


def gaps_of(result: Any) -> tuple[Gap, ...]:
    return result.gaps if isinstance(result, AbsentValue) else ()


def required_value(result: Any, missing: MissingRule) -> Any:
    """Return the value of a template; null for an absent value. Raises `ExpressionError` if no value may be missing."""
    if not isinstance(result, Undefined):
        return result
    if missing == "fail" and (gaps := gaps_of(result)):
        reasons = [f"`{gap.member}` is missing: {gap.place} yields nothing" if gap.member else f"{gap.place} yields nothing" for gap in gaps[:SHOWN]]
        more = f"; and {len(gaps) - SHOWN} more" if len(gaps) > SHOWN else ""
        raise ExpressionError("; ".join(reasons) + more)
    return None


def concatenate(pieces: Sequence[str | Callable[[G], Any]], *, whole: bool = False) -> Callable[[G], Any]:
    """Return the function that joins literal pieces and values to one text. A piece that yields nothing is empty; with `whole` it makes the text absent."""
    if all(isinstance(piece, str) for piece in pieces):
        return partial(literal_value, "".join(map(str, pieces)))
    return partial(made_text, pieces, whole)


def made_text(pieces: Sequence[str | Callable[[G], Any]], whole: bool, given: G) -> Any:
    texts = [piece if isinstance(piece, str) else piece(given) for piece in pieces]
    if whole and (gaps := tuple(gap for text in texts for gap in gaps_of(text))):
        return AbsentValue(gaps)
    return "".join(map(as_text, texts))


def as_text(value: Any) -> str:
    """A value as part of a longer text."""
    if value is None or isinstance(value, Undefined):
        return ""
    if isinstance(value, str):
        return value
    try:
        return encode(value).decode()
    except Undecodable:
        raise ExpressionError("a value inside a text cannot be written as JSON") from None
