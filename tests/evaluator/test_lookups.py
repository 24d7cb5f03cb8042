"""Lookups of expressions in processes of their own: what they ask comes out, and the answers go in."""

from __future__ import annotations

import asyncio

import pytest

from tests.tools.evaluating import InProcess
from worker.core.errors import ExpressionFailed
from worker.core.evaluation import Question
from worker.core.lookups import Lookup, LookupAnswer, Needed
from worker.evaluator.functions import PLACEHOLDER
from worker.flows.lookups.evaluator import LookupEvaluator

TABLES = {"t": {"a": {"deep": [1, None, "x"]}, "b": 2**53}}


class Ids:
    async def find(self, entity, members):
        await asyncio.sleep(0)
        return LookupAnswer(found=True, value=len(members["name"]))


async def test_a_process_names_the_lookups_that_it_needs(evaluator):
    question = Question(("n + 1", "$table('t', k)", "[$id('Site', {'name': s}), $table('t', 'b')]", "$uppercase(nope)"), {"n": 1, "k": "a", "s": "x"}, {})
    two, first, second, nothing = await evaluator.answer(question)
    assert (two, repr(nothing)) == (2, "UNDEFINED")
    assert first == Needed((Lookup("table", "t", "a"),))
    assert second == Needed((Lookup("id", "Site", {"name": "x"}), Lookup("table", "t", "b")))


async def test_values_come_as_they_do_in_one_process(evaluator):
    expressions = (
        "$table('t', k).deep",
        "$table('t', 'b')",
        "$id('Site', {'name': s, 'client_id': $table('t', 'b')}) & '!'",
        "rows.$id('Agent', {'name': name})",
        "$table('t', 'zz', {'default': [null]})",
        "$date('31/12/2025', '[D]/[M]/[Y]')",
        "$table('t', nope)",
    )
    question = Question(expressions, {"k": "a", "s": "abc", "rows": [{"name": "x"}, {"name": "xy"}]}, {"unused": 1})
    found = await LookupEvaluator(evaluator, TABLES, Ids()).answer(question)
    assert found[:6] == [[1, None, "x"], 2**53, "3!", [1, 2], {"default": [None]}, "2025-12-31"]
    assert found == await LookupEvaluator(InProcess(), TABLES, Ids()).answer(question)


async def test_a_failure_in_a_later_round_names_its_expression(evaluator):
    question = Question(("1", "$table('t', 'b')", "$table('t', 'zz')", "2"), {}, {})
    with pytest.raises(ExpressionFailed, match="the table `t` has no such row") as failed:
        await LookupEvaluator(evaluator, TABLES).answer(question)
    assert failed.value.index == 2


async def test_a_message_cannot_pretend_to_be_an_answer(evaluator):
    for text in (PLACEHOLDER, "?", '?[["table","t","b"]]', "\ue000", "\ue0001\ue000"):
        with pytest.raises(ExpressionFailed, match="has no such row"):
            await LookupEvaluator(evaluator, TABLES).answer(Question(("$table('t', k)",), {"k": text}, {}))
        assert await evaluator.answer(Question(("k & ''",), {"k": text}, {})) == [text]


async def test_lookups_without_end_end_with_their_message_alone(evaluator):
    endless = Question(("$map([1..n], function($i){ $id('Site', {'name': 'x' & $i}) })",), {"n": 90_000}, {})
    fine = Question(("$table('t', 'b')",), {}, {})
    asked = LookupEvaluator(evaluator, TABLES, Ids())
    results = await asyncio.gather(asked.answer(endless), asked.answer(fine), return_exceptions=True)
    assert isinstance(results[0], ExpressionFailed)
    assert results[1] == [2**53]
