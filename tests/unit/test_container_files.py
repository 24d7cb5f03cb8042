"""What the files around the container say of each other is true, as far as it shows without an engine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from worker.core.durations import parse_duration
from worker.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker/Dockerfile").read_text()
STAND_INS = (ROOT / "docker/stand-ins.sh").read_text()


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    described: dict[str, Any] = YAML(typ="safe").load(ROOT / "docker/compose.yaml")["services"]
    return described


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_stand_ins_have_the_names_of_what_they_stand_for(services):
    names = dict(re.findall(r"^([A-Z]+)=([^$\s]+:\S+)$", STAND_INS, re.MULTILINE))
    base = re.search(r"^FROM ([^@\s]+)\S* AS base$", DOCKERFILE, re.MULTILINE)
    assert base is not None
    by_default = {name: re.fullmatch(rf"\$\{{{name}_IMAGE:-([^@]+).*\}}", services[name.lower()]["image"]) for name in ("RABBITMQ", "PROMETHEUS")}
    assert names == {"PYTHON": base[1]} | {name: found and found[1] for name, found in by_default.items()}


def test_the_image_is_built_with_the_versions_that_development_has():
    assert pins("requirements-build.lock").items() <= pins("requirements-dev.lock").items()
    assert pins("requirements.lock").items() <= pins("requirements-dev.lock").items()


def test_everything_that_is_installed_is_installed_by_hash():
    installs = re.findall(r"pip .*?\binstall (.*)", DOCKERFILE)
    assert len(installs) == 3
    assert [line for line in installs if "--require-hashes" not in line and "--no-index" not in line] == []


def test_what_the_build_copies_is_let_through_and_nothing_else():
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for word in line.split()}
    assert let_through == copied


def test_the_worker_has_longer_to_stop_than_it_takes_at_most(services):
    grace = Settings.model_fields["shutdown_grace"].default
    assert parse_duration(services["worker"]["stop_grace_period"]) > grace


def test_route_files_read_no_secret_of_the_worker_itself(services):
    worker = services["worker"]
    for_routes = [secret for secret in worker["secrets"] if isinstance(secret, str)]
    elsewhere = {secret["target"] for secret in worker["secrets"] if not isinstance(secret, str)}
    assert for_routes == ["halo_client_secret"]
    assert worker["environment"]["WORKER_AMQP_URL_FILE"] in elsewhere
    assert not [target for target in elsewhere if target.startswith(f"{Settings.model_fields['secrets'].default}/")]


def test_nobody_starts_before_what_it_needs_is_healthy(services):
    needed = services["worker"]["depends_on"]
    assert {name: need["condition"] for name, need in needed.items()} == {"rabbitmq": "service_healthy", "sandbox": "service_healthy"}
    assert needed["sandbox"]["required"] is False
    assert all(services[name].get("healthcheck") for name in needed)
