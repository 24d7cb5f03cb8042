"""Keeps numbers exact that the engine's doubles cannot hold: it refuses a result that would depend on their lost digits.

The engine evaluates an expression several times, each time with other numbers (stand-ins) in place of these. A part of the result that is always the same does
not depend on them. A part that always equals the stand-in of one number is that number. Any other part was calculated from lost digits, with one exception: the
nearest doubles below and above the number give the same part. If all operations are monotonic, every number between them gives it too.

A comparison may be false for each stand-in and true for the number: `$string(iccid) = '89445012345678901234'`, `iccid % 10 = 4`. So an expression that could
hold such a comparison is also evaluated with the number's text. The text has the right digits where the expression makes a text of the number, and fails in
a calculation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from worker.core.errors import ExpressionError
from worker.core.exact_numbers import EXACT, dumps

HUGE, SMALL = 1e300, 0.7310585786300049  # stand-ins: no calculation with literals yields them
MEMBER: Final = re.compile(r"[\w.$\[\]-]{1,80}")
LOOKED_AT: Final = 20  # numbers that are tried, to name the one that a result depends on
MONOTONIC: Final = frozenset(
    (
        "abs",
        "append",
        "average",
        "boolean",
        "ceil",
        "count",
        "exists",
        "filter",
        "floor",
        "lookup",
        "map",
        "max",
        "merge",
        "min",
        "not",
        "round",
        "sum",
        "toMillis",
        "type",
    )
)
"""Functions that make no text of a number."""
CALCULATING: Final = frozenset(("abs", "average", "ceil", "floor", "round", "sum"))
ARITHMETIC: Final = frozenset("+-*/")
EQUALITY: Final = frozenset(("=", "!=", "in"))
DIFFERENT: Final = object()
"""A part that equals no other part."""


class PrecisionLost(Exception):
    """A part of the result depends on digits that the engine does not hold."""


@dataclass(frozen=True, slots=True)
class ExactNumbers:
    """The numbers of an input that doubles cannot hold, each with its first member. `varied`: the one number that stand-ins replace; None: they replace all."""

    members: Mapping[Decimal, str]
    varied: Decimal | None = None

    @classmethod
    def of(cls, context: Any, bindings: Mapping[str, Any]) -> ExactNumbers:
        found: dict[Decimal, str] = {}
        for number, member in numbers_in(context, ""):
            found.setdefault(number, member)
        for name, value in bindings.items():
            for number, member in numbers_in(value, f"${name}"):
                found.setdefault(number, member)
        return cls(found)

    def stand_ins(self) -> list[dict[Decimal, float]]:
        """Return three sets of stand-ins.

        The first descend and the second ascend without bound, so that no comparison has the same result in both. The third are small: each addition shows.
        """
        step = 1 / (len(self.members) + 1)
        places = {number: 1 + index * step for index, number in enumerate(self.members)}
        return [{number: scale * place if self.varies(number) else float(number) for number, place in places.items()} for scale in (-HUGE, HUGE, SMALL / 2)]

    def neighbours(self) -> list[dict[Decimal, float]]:
        """Return the nearest doubles below and above each number."""
        pairs = {number: neighbouring_doubles(number) if self.varies(number) else (float(number),) * 2 for number in self.members}
        return [{number: pair[side] for number, pair in pairs.items()} for side in (0, 1)]

    def texts(self) -> dict[Decimal, float | str]:
        """Return the text of each number."""
        return {number: dumps(number).decode() if self.varies(number) else float(number) for number in self.members}

    def varies(self, number: Decimal) -> bool:
        return self.varied is None or number == self.varied

    def each(self) -> Iterator[ExactNumbers]:
        """Return this for each of the first numbers, with one number varied at a time."""
        return (replace(self, varied=number) for number in list(self.members)[:LOOKED_AT])

    def refusal(self) -> ExpressionError:
        member = self.members[self.varied] if self.varied is not None else next(iter(self.members.values()))
        which = f"the number in {member}" if MEMBER.fullmatch(member) else "a number"
        return ExpressionError(
            f"{which} has more digits than expressions calculate with (2^53, or 15 digits), and the result would hold another one: "
            "let its path alone be the value of a member, or have it sent as text"
        )


def numbers_in(value: Any, member: str) -> Iterator[tuple[Decimal, str]]:
    """Yield the numbers that doubles cannot hold, with their members."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from numbers_in(child, f"{member}.{name}" if member else name)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from numbers_in(child, f"{member}[{index}]")
    elif (number := unheld(value)) is not None:
        yield number, member or "the document"


def unheld(value: Any) -> Decimal | None:
    """Return the exact value of a number that the engine would change; None for any other value."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, (int, float)) and EXACT < abs(value) < math.inf:
        return Decimal(repr(value))
    return None


def neighbouring_doubles(number: Decimal) -> tuple[float, float]:
    nearest = float(number)
    below = nearest if Decimal(nearest) < number else math.nextafter(nearest, -math.inf)
    return below, nearest if Decimal(nearest) > number else math.nextafter(nearest, math.inf)


def substituted(value: Any, stand_ins: Mapping[Decimal, float | str]) -> Any:
    """Return a copy with the stand-in of each number."""
    if isinstance(value, dict):
        return {name: substituted(child, stand_ins) for name, child in value.items()}
    if isinstance(value, list):
        return [substituted(child, stand_ins) for child in value]
    return value if (number := unheld(value)) is None else stand_ins[number]


def is_monotonic(operators: frozenset[str], functions: frozenset[str]) -> bool:
    """Whether a result that is the same for a smaller and a larger number is the same for each number between them."""
    return not operators & {"%", "&"} and functions <= MONOTONIC


def equates_sums(marks: frozenset[str], functions: frozenset[str]) -> bool:
    """Whether the expression may compare a calculated value with a number: that may be equal for one number and unequal for all numbers around it."""
    return bool(marks & EQUALITY) and bool(marks & ARITHMETIC or functions & CALCULATING)


def merge_results(results: Sequence[Any], restored: Mapping[tuple[Any, ...], Decimal], between: Sequence[Any], texts: Sequence[Any]) -> Any:
    """Merge the results with stand-ins into one. `between`: with the neighbours; `texts`: with the texts; each empty if it proves nothing. Raises `PrecisionLost`."""
    first = results[0]
    if same_type(results):
        if isinstance(first, dict) and all(each.keys() == first.keys() for each in results):
            return {name: merge_results([each[name] for each in results], restored, members(between, name), members_of_text(texts, name)) for name in first}
        if isinstance(first, list) and all(len(each) == len(first) for each in results):
            size = len(first)
            return [
                merge_results([each[index] for each in results], restored, items(between, index, size), items_of_text(texts, index, size))
                for index in range(size)
            ]
    if is_number(first) and (number := restored.get(tuple(results))) is not None:
        return number
    if same_type(results) and all(each == first for each in (*results, *texts)):
        return first
    if between and same_type(between) and all(each == between[0] for each in between):
        return between[0]
    raise PrecisionLost


def same_type(values: Sequence[Any]) -> bool:
    kinds = {bool if isinstance(value, bool) else float if is_number(value) else type(value) for value in values}
    return len(kinds) == 1


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def members(values: Sequence[Any], name: str) -> list[Any]:
    return [value[name] for value in values] if all(isinstance(value, dict) and name in value for value in values) else []


def members_of_text(texts: Sequence[Any], name: str) -> Sequence[Any]:
    return texts and (members(texts, name) or [DIFFERENT])


def items_of_text(texts: Sequence[Any], index: int, length: int) -> Sequence[Any]:
    return texts and (items(texts, index, length) or [DIFFERENT])


def items(values: Sequence[Any], index: int, length: int) -> list[Any]:
    return [value[index] for value in values] if all(isinstance(value, list) and len(value) == length for value in values) else []
