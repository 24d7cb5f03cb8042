"""`halo-worker init` writes a project that is good at once."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import orjson
import pytest
from ruamel.yaml import YAML

from tests.tools.documents import TOP
from worker.cli.check import check
from worker.cli.init import write_project
from worker.cli.plan import PlanOptions, show_plans
from worker.cli.testing import run_tests
from worker.config.schema import json_schema
from worker.core.errors import ConfigError

NOTHING = Path("no-secrets")


@pytest.fixture
def project(tmp_path, capsys):
    assert write_project(tmp_path / "mine") == 0
    capsys.readouterr()
    return tmp_path / "mine"


def test_check_and_test_are_green_at_once_without_any_variable(project, capsys):
    assert check(project / "routes", {}, NOTHING, as_json=False) == 0
    assert run_tests(project / "routes", {}, junit=None, as_json=False) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "without examples" not in shown.out


def test_the_message_that_lies_beside_can_be_planned(project, capsys):
    assert show_plans("computers", [str(project / "computer.json")], {"WORKER_ROUTES": str(project / "routes")}, PlanOptions()) == 0
    assert '[{"inventory_number":"A1","client_id":12,"assettype_id":1}]' in capsys.readouterr().out


def test_every_route_file_names_the_schema_that_lies_beside(project):
    for file in (project / "routes").glob("*.yaml"):
        first = file.read_text().splitlines()[0]
        found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
        assert found is not None, file
        assert orjson.loads((file.parent / found[1]).read_bytes()) == json_schema()


def test_passwords_are_new_in_each_project_and_stay_out_of_git(project, tmp_path):
    write_project(tmp_path / "other")
    assert (project / "secrets/amqp_url").read_text() != (tmp_path / "other/secrets/amqp_url").read_text()
    password = (project / "secrets/broker_user.conf").read_text().split()[-1]
    assert f":{password}@" in (project / "secrets/amqp_url").read_text()
    assert "secrets/" in (project / ".gitignore").read_text().splitlines()
    assert stat.S_IMODE((project / "secrets").stat().st_mode) == 0o700


def test_the_compose_file_is_that_of_the_project_as_far_as_they_have_the_same(project):
    ours = YAML(typ="safe").load((TOP / "docker/compose.yaml").read_text())["services"]
    theirs = YAML(typ="safe").load((project / "compose.yaml").read_text())
    assert theirs["services"].keys() == {"rabbitmq", "worker", "sandbox"}
    assert theirs["services"]["rabbitmq"]["image"] == re.sub(r"@sha256:\w+", "", ours["rabbitmq"]["image"])
    assert theirs["services"]["rabbitmq"]["healthcheck"] == ours["rabbitmq"]["healthcheck"]
    assert theirs["services"]["sandbox"]["healthcheck"] == ours["sandbox"]["healthcheck"]
    assert theirs["services"]["worker"]["stop_grace_period"] == ours["worker"]["stop_grace_period"]
    files = [secret["file"] for secret in theirs["secrets"].values()]
    assert [name for name in files if not (project / name).is_file()] == []
    mounted = [volume.split(":")[0] for volume in theirs["services"]["worker"]["volumes"]]
    assert [name for name in mounted if not (project / name).is_dir()] == []


@pytest.mark.parametrize("kind", ["file", "full"])
def test_what_is_there_is_not_written_over(tmp_path, kind):
    target = tmp_path / "there"
    if kind == "file":
        target.write_text("x")
    else:
        target.mkdir()
        (target / ".hidden").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigError, match="nothing was written"):
        write_project(target)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_directory_will_do_and_the_next_steps_are_told(tmp_path, capsys):
    assert write_project(tmp_path) == 0
    told = capsys.readouterr().out
    assert [step for step in ("check", "test", "plan computers computer.json", "sandbox", "run") if f"halo-worker {step}" not in told] == []
