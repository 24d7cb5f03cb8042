"""Documents of Halo are imported as a whole, or refused by the name of what has no counterpart."""

from __future__ import annotations

import pytest

from tests.tools.halo_documents import DONE, FAIL, Case, call, chain, ends, guid, hostile, runbook, sound, step, vendor
from tests.unit.translation.conftest import imported, refusals
from worker.config.loader import compile_directory
from worker.translation.documents import Documents
from worker.translation.importing import translate

SOUND, HOSTILE = sound(), hostile()


@pytest.mark.parametrize("name", SOUND)
def test_what_has_a_counterpart_becomes_route_files_that_check_accepts(tmp_path, name):
    case, directory = SOUND[name], tmp_path / "routes"
    translation = imported(case, directory)
    assert refusals(translation) == []
    compiled = compile_directory(directory, {"HALO_URL": "https://acme.haloitsm.com"}, tmp_path, placeholders=True)
    assert compiled.problems == ()
    assert len(compiled.routes.runbooks) == len(case.runbooks)


@pytest.mark.parametrize("name", HOSTILE)
def test_what_has_none_is_refused_by_its_name_and_nothing_is_written_of_it(tmp_path, name):
    case, directory = HOSTILE[name], tmp_path / "routes"
    translation = imported(case, directory)
    place, reason = case.refused
    assert any(place in found and reason in why for found, why in refusals(translation)), refusals(translation)
    assert sorted(directory.glob("runbook-*.yaml")) == [directory / f"runbook-{name}.yaml" for name in translation.runbooks]
    assert len(translation.runbooks) < len(case.runbooks)


def test_a_runbook_of_a_library_brings_its_integrations_along(tmp_path):
    book = runbook("Library", [call(1, "Ping", 17, DONE, FAIL), *ends()], integrations=[vendor()])
    translation = imported(Case([book], []), tmp_path / "routes")
    assert refusals(translation) == []
    assert list(translation.integrations) == ["vendor-api"]


def test_names_that_other_definitions_have_are_not_taken(tmp_path):
    given = Documents()
    given.add({"integrations": [vendor()], "runbooks": [runbook("One", [call(1, "Ping", 17, DONE, FAIL), *ends()])]}, "f")
    translation = translate(given, "main", {"integrations": {"vendor-api"}, "routes": {"one"}})
    assert (list(translation.integrations), list(translation.runbooks)) == (["vendor-api-2"], ["one-2"])
    assert translation.runbooks["one-2"].definition["steps"]["ping"]["method"] == "vendor-api-2.ping"


def test_a_document_that_comes_again_keeps_its_name_although_halo_calls_it_otherwise(tmp_path):
    given = Documents()
    given.add({"integrations": [vendor()], "runbooks": [runbook("New name", [call(1, "Ping", 17, DONE, FAIL), *ends()], id=guid("x"))]}, "f")
    assert list(translate(given, "main", {}, {guid("x"): "old-name"}).runbooks) == ["old-name"]


def test_a_runbook_that_starts_a_refused_one_is_refused_too():
    given = Documents()
    books = [runbook("A", [chain(1, "To B", "B")]), runbook("B", [step(1, "Rows", 18, None)])]
    given.add({"runbooks": books}, "f")
    assert ("A", "it starts the runbook `b`, which was refused") in refusals(translate(given, "main"))
