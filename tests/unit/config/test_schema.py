"""The JSON Schema for editors."""

import json
import re
from pathlib import Path

import orjson
import pytest

from tests.tools.every import every
from worker.cli.schema import print_schema
from worker.config.schema import json_schema

ROOT = Path(__file__).parents[3]
SNAPSHOT = ROOT / "routes" / "halo-worker.schema.json"
SAMPLES = sorted([*(ROOT / "routes").glob("*.yaml"), *(ROOT / "docker" / "routes").glob("*.yaml")])


def test_the_schema_is_the_one_that_was_looked_at():
    """After a change that is meant: `halo-worker schema > routes/halo-worker.schema.json`, and read the difference."""
    assert json_schema() == json.loads(SNAPSHOT.read_text("utf-8"))


def test_the_command_prints_it(capsys):
    assert print_schema() == 0
    assert orjson.loads(capsys.readouterr().out) == json_schema()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_editor_finds_the_schema_from_each_sample(sample):
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", sample.read_text("utf-8"))
    assert named is not None
    assert (sample.parent / named[1]).resolve() == SNAPSHOT


def definitions():
    return json_schema()["$defs"].items()


@every(("name", "definition"), definitions, ids=str)
def test_every_member_is_described_and_nothing_else_is_allowed(name, definition):
    assert definition["description"]
    assert definition["additionalProperties"] is False
    assert [name for name, member in definition["properties"].items() if not member.get("description")] == []
