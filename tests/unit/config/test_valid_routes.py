"""What is loaded beside a mistake: everything that is sound and refers to nothing that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.config.valid_routes import load_valid_routes
from worker.core.errors import ConfigError

CLIENT = """
clients:
  {name}:
    url: https://{name}.example.com
    auth: {{type: client_credentials, client_id: a, client_secret: "${{SECRET}}"}}
"""
PUBLISHER = """
  {name}: {{client: {client}, queue: {name}, entity: {entity}, transform: {{path: {{}}, query: {{}}, payload: {{a: 1}}}}}}"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder


def publishers(*given: tuple[str, str, str]) -> str:
    return "publishers:" + "".join(PUBLISHER.format(name=name, client=client, entity=entity) for name, client, entity in given)


def load(folder: Path, **options: bool):
    return load_valid_routes(folder, {"SECRET": "swordfish-swordfish"}, folder, **options)


def test_sound_files_are_loaded_whole_and_nothing_is_told(tmp_path):
    loaded = load(write(tmp_path, a=CLIENT.format(name="main"), b=publishers(("erp", "main", "Asset"))))
    assert (set(loaded.routes.publishers), loaded.problems, loaded.warning) == ({"erp"}, (), "")


def test_a_definition_with_a_mistake_is_left_out_and_its_neighbours_in_the_same_file_stay(tmp_path):
    given = publishers(("erp", "main", "Asset"), ("bad", "main", "Asett"), ("cmdb", "main", "Asset"))
    loaded = load(write(tmp_path, a=CLIENT.format(name="main") + given))
    assert set(loaded.routes.publishers) == {"erp", "cmdb"}
    assert "Asett" in loaded.problems[0].message
    assert "1 mistake" in loaded.warning


BLOCK = """
publishers:
  erp:
    client: main
    queue: erp
    entity: Asset
  bad:
    client: main
    queue: bad
    entity: Asset
    transform:
      payload:
        notes: |
          first
          {{ broken(
    {mistake}
  cmdb:
    client: main
    queue: cmdb
    entity: Asset
"""


@pytest.mark.parametrize("mistake", ["retry: []", "evry: 5s", "retry: [soon]"], ids=["in a text", "a key", "an item of a list"])
def test_the_same_holds_where_a_definition_is_written_over_many_lines(tmp_path, mistake):
    loaded = load(write(tmp_path, a=CLIENT.format(name="main") + BLOCK.replace("{mistake}", mistake)))
    assert set(loaded.routes.publishers) == {"erp", "cmdb"}
    assert {problem.file for problem in loaded.problems} == {f"{tmp_path.name}/a.yaml"}


def test_with_whole_files_a_mistake_stops_every_route_of_its_file_and_no_other(tmp_path):
    bad = publishers(("erp", "main", "Asset"), ("bad", "main", "Asett"))
    loaded = load(write(tmp_path, a=CLIENT.format(name="main"), b=bad, c=publishers(("cmdb", "main", "Asset"))), whole_files=True)
    assert set(loaded.routes.publishers) == {"cmdb"}


@pytest.mark.parametrize("whole_files", [False, True])
def test_a_file_that_is_no_yaml_stops_only_itself(tmp_path, whole_files):
    loaded = load(write(tmp_path, a=CLIENT.format(name="main"), b='publishers: {"', c=publishers(("cmdb", "main", "Asset"))), whole_files=whole_files)
    assert set(loaded.routes.publishers) == {"cmdb"}
    assert {Path(problem.file).name for problem in loaded.problems} == {"b.yaml"}


def test_what_refers_to_a_client_that_is_left_out_is_left_out_too_and_other_routes_of_its_file_stay(tmp_path):
    broken = CLIENT.format(name="other").replace("https://", "nonsense ")
    given = publishers(("erp", "main", "Asset"), ("lost", "other", "Asset"))
    loaded = load(write(tmp_path, a=CLIENT.format(name="main"), b=broken, c=given), whole_files=True)
    assert set(loaded.routes.publishers) == {"erp"}
    assert {Path(problem.file).name for problem in loaded.problems} == {"b.yaml"}, "consequences are no mistakes"


def test_a_route_that_is_asked_for_and_is_left_out_raises_its_mistakes(tmp_path):
    loaded = load(write(tmp_path, a=CLIENT.format(name="main") + publishers(("erp", "main", "Asset"), ("bad", "main", "Asett"))))
    assert loaded.requiring("erp") is loaded.routes
    with pytest.raises(ConfigError, match="Asett"):
        loaded.requiring("bad")


def test_nothing_sound_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="Asett"):
        load(write(tmp_path, a=publishers(("bad", "main", "Asett"))))


def test_a_missing_secret_concerns_only_the_routes_of_its_client(tmp_path):
    second = CLIENT.format(name="other").replace("SECRET", "OTHER")
    given = publishers(("erp", "main", "Asset"), ("lost", "other", "Asset"))
    loaded = load(write(tmp_path, a=CLIENT.format(name="main"), b=second, c=given))
    assert set(loaded.routes.publishers) == {"erp"}


def test_a_mistake_outside_of_definitions_leaves_out_its_file_only(tmp_path):
    bad = publishers(("erp", "main", "Asset")) + "\ntables:\n  sites: 5\n"
    loaded = load(write(tmp_path, a=CLIENT.format(name="main"), b=bad, c=publishers(("cmdb", "main", "Asset"))))
    assert set(loaded.routes.publishers) == {"cmdb"}


def test_a_mistake_in_a_csv_file_leaves_out_the_file_that_names_it(tmp_path):
    (tmp_path / "sites.csv").write_text("key,value\nrow\n")
    bad = publishers(("erp", "main", "Asset")) + "\ntables:\n  sites: sites.csv\n"
    loaded = load(write(tmp_path, a=CLIENT.format(name="main"), b=bad, c=publishers(("cmdb", "main", "Asset"))))
    assert set(loaded.routes.publishers) == {"cmdb"}
