"""Documents of Halo are imported as a whole, or refused by the name of what has no counterpart."""

from __future__ import annotations

import pytest

from tests.tools.halo_documents import hostile, sound
from tests.unit.translation.conftest import imported, refusals
from worker.config.loader import compile_directory

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
