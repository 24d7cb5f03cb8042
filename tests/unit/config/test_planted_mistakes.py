"""Over 100 mistakes planted in 30 mappings: `check` and `test` find them before anything is sent, and say nothing about the good mappings."""

import time
from pathlib import Path
from tempfile import mkdtemp

import pytest
from ruamel.yaml import YAML

from tests.tools.every import every
from worker.app.planning.examples import examples_of, run_example
from worker.app.planning.planner import open_planner
from worker.config.loader import load_routes
from worker.core.errors import ConfigError
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.flows.local.delivery import StillClock
from worker.settings import load_settings

PLANTED = Path(__file__).parents[2] / "planted"
CLIENT = """
clients:
  main: {url: "https://acme.haloitsm.com", auth: {type: client_credentials, client_id: worker, client_secret: hidden-away}}
"""


def mappings():
    for path in sorted(PLANTED.glob("*.yaml")):
        yield from ((f"{path.stem}-{number}", mapping) for number, mapping in enumerate(YAML(typ="safe", pure=True).load(path.read_text("utf-8"))))


MAPPINGS = dict(mappings())
MISTAKES = {f"{name}-{number}": (mapping["file"], mistake) for name, mapping in MAPPINGS.items() for number, mistake in enumerate(mapping["mistakes"])}
OF_CHECK = {name: its for name, its in MISTAKES.items() if its[1].get("by") != "test"}
OF_TEST = {name: its for name, its in MISTAKES.items() if name not in OF_CHECK}


def with_mistake(text, mistake):
    assert text.count(mistake["for"]) == 1, f"{mistake['for']!r} stands {text.count(mistake['for'])} times in the mapping"
    return text.replace(mistake["for"], mistake["write"])


@pytest.fixture
def load(tmp_path):
    def run(text, name="a"):
        folder = Path(mkdtemp(prefix=name, dir=tmp_path)) / "routes"
        folder.mkdir()
        (folder / "a.yaml").write_text(text + CLIENT)
        return load_routes(folder, {}, tmp_path)

    return run


async def differences(several):
    """What the examples of each of these routes yield otherwise than they expect, as text."""
    settings = load_settings({})
    async with open_evaluator(Limits(settings.expression_memory)) as evaluator:
        found = {}
        for name, routes in several.items():
            examples = examples_of(routes)
            assert examples, name
            async with open_planner(routes, settings, [route for _, route, _ in examples], evaluator, StillClock(time.time())) as planner:
                results = [await run_example(planner, *each) for each in examples]
            found[name] = "; ".join(f"{each.place}: expected {each.expected}, found {each.found}" for result in results for each in result.differences)
        return found


def test_there_are_100_mistakes_and_more_in_30_mappings():
    assert len(MAPPINGS) == 30
    assert len(MISTAKES) >= 100


@every("name", MAPPINGS)
def test_check_says_nothing_about_a_good_mapping(load, name):
    assert load(MAPPINGS[name]["file"]).warnings == ()


async def test_the_examples_of_good_mappings_pass(load):
    found = await differences({name: load(mapping["file"], name) for name, mapping in MAPPINGS.items()})
    assert {name: text for name, text in found.items() if text} == {}


@every("name", OF_CHECK)
def test_check_finds_the_mistake_and_shows_its_line(load, name):
    text, mistake = OF_CHECK[name]
    try:
        found = load(with_mistake(text, mistake)).warnings
    except ConfigError as error:
        found = (*error.problems, *error.warnings)
    said = [problem for problem in found if mistake["says"] in problem.message]
    assert said, [problem.message for problem in found]
    assert all(problem.excerpt for problem in said)


async def test_an_example_shows_each_mistake_that_only_a_run_can_find(load):
    found = await differences({name: load(with_mistake(text, mistake), name) for name, (text, mistake) in OF_TEST.items()})
    assert {name: text for name, text in found.items() if OF_TEST[name][1]["says"] not in text} == {}
