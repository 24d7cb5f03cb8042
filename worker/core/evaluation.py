"""The questions to the expression engine, and its value for "nothing". The engine itself runs in separate processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from worker.core.lookups import LookupAnswer


class Undefined:
    """The type of UNDEFINED: the result of JSONata where there is no value, not even null."""

    def __repr__(self) -> str:
        return "UNDEFINED"

    def __bool__(self) -> bool:
        return False


UNDEFINED: Final = Undefined()


@dataclass(frozen=True, slots=True)
class Question:
    """JSONata texts over one context (`$`), in order, under one time limit. `bindings`: JSON values by name without `$`.

    `answers`: the answers to the lookups that an earlier answer to this question needed (`worker.core.lookups.Needed`), by the text of the lookup.
    """

    expressions: tuple[str, ...]
    context: Any
    bindings: Mapping[str, Any]
    answers: Mapping[str, LookupAnswer] = field(default_factory=dict)
