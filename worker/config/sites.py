"""The expressions of one template, evaluated together: what only names a value is read here, all that is left is one question to the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from worker.config.paths import Input, NotSimple, Path
from worker.core.errors import ExpressionError, ExpressionFailed
from worker.core.evaluation import UNDEFINED, Question
from worker.core.ports import Evaluator

PENDING: Final = object()


@dataclass(frozen=True, slots=True)
class Site:
    """One expression. `path`: the same, where it only names a value; `place`: where it stands in the route file, as errors begin."""

    text: str
    variables: frozenset[str]
    path: Path | None
    place: str

    def read(self, given: Input) -> Any:
        """The value or UNDEFINED, or PENDING where the engine has to answer."""
        if self.path is None:
            return PENDING
        try:
            return self.path.read(given)
        except NotSimple:
            return PENDING


class Sites:
    """All expressions of one template, in its order; what the template yields is put together from their values."""

    def __init__(self) -> None:
        self._sites: list[Site] = []

    def add(self, site: Site) -> int:
        """Its number among the values."""
        self._sites.append(site)
        return len(self._sites) - 1

    async def values(self, given: Input, evaluator: Evaluator) -> Sequence[Any]:
        """One for each expression. Raises `ExpressionError` with the place of the first that fails, `EvaluatorUnavailable`."""
        values = [site.read(given) for site in self._sites]
        asked = [index for index, value in enumerate(values) if value is PENDING]
        if asked:
            for index, value in zip(asked, await self._answers([self._sites[index] for index in asked], given, evaluator), strict=True):
                values[index] = value
        return values

    async def _answers(self, asked: Sequence[Site], given: Input, evaluator: Evaluator) -> list[Any]:
        names = frozenset[str]().union(*(site.variables for site in asked))
        bindings = {name: value for name in names if (value := given.binding(name)) is not UNDEFINED}
        try:
            return await evaluator.answer(Question(tuple(site.text for site in asked), given.context, bindings))
        except ExpressionFailed as error:
            raise ExpressionError(f"{asked[error.index].place}: {error}") from None
