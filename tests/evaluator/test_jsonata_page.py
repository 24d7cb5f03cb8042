"""The page "JSONata for beginners": each expression of its tables yields what stands beside it."""

from __future__ import annotations

import json
import re

from tests.tools.documents import blocks, text_of
from tests.tools.evaluating import evaluated
from tests.tools.every import check_every
from worker.config.expressions import compile_template
from worker.core.errors import ExpressionError

PAGE = "docs/guides/jsonata.md"
ROW = re.compile(r"^\| (`+)(.+?)\1 \| (?:`(.+)`|\*(nothing|fails)\*) \|$", re.MULTILINE)
MESSAGE = json.loads(blocks(PAGE, "json")[0])


def yields(expression: str) -> str:
    try:
        found = evaluated(compile_template({"result": f"{{{{ {expression.strip()} }}}}"}), MESSAGE, {})
    except ExpressionError:
        return "fails"
    return json.dumps(found["result"]) if found else "nothing"


def test_each_expression_of_the_page_yields_what_the_page_says():
    def check(row: tuple[str, str, str, str]) -> None:
        _, expression, result, word = row
        found = yields(expression)
        assert found == (word or json.dumps(json.loads(result))), found

    rows = ROW.findall(text_of(PAGE))
    check_every(rows, check, lambda row: row[1])
    shown = [line for line in text_of(PAGE).splitlines() if line.startswith("|") and not line.startswith(("| expression", "| ---"))]
    assert len(rows) == len(shown), "a row that is not compared"
