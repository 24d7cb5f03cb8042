"""Evaluates expressions with their lookups: answers the lookups of `$table` and `$id`, and evaluates the expressions again with the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from worker.config.config_node import Table
from worker.core.errors import ExpressionFailed
from worker.core.evaluation import Question
from worker.core.lookups import Lookup, LookupAnswer, Needed
from worker.core.ports import Evaluator, Ids

MAX_ROUNDS: Final = 10  # lookups that need the answers of others
MAX_LOOKUPS: Final = 200  # of one template with one message


class LookupEvaluator:
    """Implements `Evaluator` through another one. `ids` answers `$id`; None: no client of Halo is known, and `$id` fails."""

    def __init__(self, evaluator: Evaluator, tables: Mapping[str, Table], ids: Ids | None = None) -> None:
        self._evaluator = evaluator
        self._tables = tables
        self._ids = ids

    def use(self, tables: Mapping[str, Table]) -> None:
        """Take rows from these tables from now on."""
        self._tables = tables

    async def answer(self, question: Question) -> list[Any]:
        """As `Evaluator.answer`, without `Needed`. Also raises `LookupUnanswered`."""
        values = await self._evaluator.answer(question)
        answers: dict[str, LookupAnswer] = {}
        for _ in range(MAX_ROUNDS):
            waiting = [index for index, value in enumerate(values) if isinstance(value, Needed)]
            if not waiting:
                return values
            new = {lookup.text: lookup for index in waiting for lookup in values[index].lookups}
            if len(answers) + len(new) > MAX_LOOKUPS:
                raise ExpressionFailed(f"it needs more than {MAX_LOOKUPS} lookups of $table and $id for one message", waiting[0])
            answers |= zip(new, await asyncio.gather(*map(self._found, new.values())), strict=True)
            again = Question(tuple(question.expressions[index] for index in waiting), question.context, question.bindings, answers)
            try:
                results = await self._evaluator.answer(again)
            except ExpressionFailed as error:
                raise ExpressionFailed(str(error), waiting[error.index]) from None
            for index, value in zip(waiting, results, strict=True):
                values[index] = value
        first = next((index for index, value in enumerate(values) if isinstance(value, Needed)), None)
        if first is None:
            return values
        raise ExpressionFailed(f"more than {MAX_ROUNDS} lookups of $table and $id depend on each other", first)

    async def _found(self, lookup: Lookup) -> LookupAnswer:
        if lookup.kind == "table":
            return self._row(lookup)
        if self._ids is None:
            return LookupAnswer(found=False, reason="no client of Halo is known here", refused=True)
        return await self._ids.find(lookup.name, lookup.key)

    def _row(self, lookup: Lookup) -> LookupAnswer:
        table = self._tables.get(lookup.name)
        if table is None:
            there = ", ".join(self._tables) or "none"
            return LookupAnswer(found=False, reason=f"there is no such table; there are {there}", refused=True)
        if lookup.key not in table:
            return LookupAnswer(found=False, reason=f"the table `{lookup.name}` has no such row")
        return LookupAnswer(found=True, value=table[lookup.key])
