"""Each recipe of the cookbook is a whole project: every route has examples, and all examples pass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.tools.documents import PAGES, blocks, saved
from worker.cli.testing import run_tests
from worker.config.loader import load_routes

COOKBOOK = [page for page in PAGES if page.startswith("docs/cookbook/")]
RECIPES = [(page, block) for page in COOKBOOK for block in blocks(page, "yaml")]
RECORDS = "docs/cookbook/records.md"


@pytest.mark.parametrize(("page", "recipe"), RECIPES, ids=[f"{Path(page).stem}-{number}" for number, (page, _) in enumerate(RECIPES)])
def test_every_recipe_has_examples_for_each_of_its_routes_and_all_pass(page, recipe, tmp_path: Path):
    (tmp_path / "recipe.yaml").write_text(recipe, "utf-8")
    for name, text in saved(page).items():
        if name.endswith(".csv"):
            (tmp_path / name).write_text(text, "utf-8")
    routes = load_routes(tmp_path, {}, tmp_path, placeholders=True)
    kinds = (routes.publishers, routes.subscribers, routes.webhooks, routes.runbooks)
    assert [name for kind in kinds for name, route in kind.items() if not route.examples] == []
    assert run_tests(tmp_path, {}, junit=None, as_json=False) == 0


def test_the_cookbook_has_a_recipe_for_each_common_task():
    shown = "\n".join(recipe for _, recipe in RECIPES)
    for task in ("$table(", ".csv", "$date(", "required:", "customfields:", "$id(", "use: always", "entity: Actions", "open_only: true", "entity: Users"):
        assert task in shown, task


def test_the_script_of_the_import_prints_each_row_as_a_message(tmp_path: Path):
    for name, text in saved(RECORDS).items():
        (tmp_path / Path(name).name).write_text(text, "utf-8")
    done = subprocess.run([sys.executable, "send_csv.py", "assets.csv"], cwd=tmp_path, capture_output=True, check=True)
    rows = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert rows[0] == {"Serial": "A1", "Customer": "12", "Type": "Notebook", "Bought": "31/12/2025", "Asset notes": ""}
    assert [row["Serial"] for row in rows] == ["A1", "A2", "A3"]
