"""The JSON Schema for editors."""

import json
from pathlib import Path

import orjson
import pytest

from worker.cli.schema import print_schema
from worker.config.schema import json_schema

SNAPSHOT = Path(__file__).with_name("route_file.schema.json")


def test_the_schema_is_the_one_that_was_looked_at():
    """After a change that is meant: `halo-worker schema > tests/unit/config/route_file.schema.json`, and read the difference."""
    assert json_schema() == json.loads(SNAPSHOT.read_text("utf-8"))


def test_the_command_prints_it(capsys):
    assert print_schema() == 0
    assert orjson.loads(capsys.readouterr().out) == json_schema()


@pytest.mark.parametrize("definition", json_schema()["$defs"].values(), ids=json_schema()["$defs"])
def test_every_member_is_described_and_nothing_else_is_allowed(definition):
    assert definition["description"]
    assert definition["additionalProperties"] is False
    assert [name for name, member in definition["properties"].items() if not member.get("description")] == []
