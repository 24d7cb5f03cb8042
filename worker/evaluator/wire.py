"""The wire form of values, needed lookups and their answers, between the worker and an evaluator process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any, Final

from worker.core.evaluation import UNDEFINED
from worker.core.exact_numbers import loads
from worker.core.lookups import Lookup, LookupAnswer, Needed
from worker.evaluator.sizes import as_json, result_json

NEEDED: Final = b"?"
"""The first byte of an answer that is no value; JSON never begins with it."""
MAX_NEEDED: Final = 1024 * 1024  # bytes


def part_of(value: Any) -> bytes:
    """Return a value, UNDEFINED or `Needed` as one part of an answer. Raises `ExpressionError`."""
    if not isinstance(value, Needed):
        return result_json(value)
    return NEEDED + as_json([[each.kind, each.name, each.key] for each in value.lookups], MAX_NEEDED, "the list of its lookups")


def value_of(part: bytes) -> Any:
    """Reverse `part_of`."""
    if part.startswith(NEEDED):
        return Needed(tuple(Lookup(*lookup) for lookup in loads(part[len(NEEDED) :])))
    return loads(part) if part else UNDEFINED


def pack_answers(answers: Mapping[str, LookupAnswer]) -> dict[str, tuple[Any, ...]]:
    """Return the answers as plain values, by the text of their lookup."""
    return {text: astuple(answer) for text, answer in answers.items()}


def unpack_answers(packed: Mapping[str, tuple[Any, ...]]) -> dict[str, LookupAnswer]:
    """Reverse `pack_answers`."""
    return {text: LookupAnswer(*fields) for text, fields in packed.items()}
