"""The compose file: valid in all its parts, and one command brings all of it up and moves data both ways."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.image.engine import ROOT, Container
from tests.tools.rabbitmq_api import Api
from tests.tools.waiting import until

FILE = ROOT / "docker/compose.yaml"
ANY_PORT = """
services:
  rabbitmq: {ports: !override ["127.0.0.1::15672"]}
  worker: {ports: !override ["127.0.0.1::8080"]}
  sandbox: {ports: !override ["127.0.0.1::8090"]}
"""


def compose(*arguments: str, image: str = "halo-worker", within: float = 300) -> str:
    words = ["docker", "compose", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=within, env=os.environ | {"WORKER_IMAGE": image})
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def plugin(engine: None) -> None:
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("not run: the docker command has no compose plugin here")


@pytest.fixture
def project(plugin: None, image: str, tmp_path: Path) -> Iterator[tuple[str, ...]]:
    """The words of a compose command for a project of its own, on free ports, which is gone at the end."""
    (tmp_path / "ports.yaml").write_text(ANY_PORT)
    words = ("--project-name", f"halo-worker-test-{uuid4().hex[:8]}", "--file", str(FILE), "--file", str(tmp_path / "ports.yaml"), "--profile", "sandbox")
    yield words
    compose(*words, "down", "--volumes", "--timeout", "30", image=image)


@pytest.mark.usefixtures("plugin")
def test_it_is_valid_with_every_profile():
    described = json.loads(compose("--file", str(FILE), "--profile", "*", "config", "--format", "json"))
    services = described["services"]
    assert set(services) == {"rabbitmq", "worker", "sandbox", "prometheus", "grafana"}
    assert set(json.loads(compose("--file", str(FILE), "config", "--format", "json"))["services"]) == {"rabbitmq", "worker"}
    for name in ("worker", "sandbox"):
        assert (services[name]["read_only"], services[name]["cap_drop"]) == (True, ["ALL"])
        assert services[name]["security_opt"] == ["no-new-privileges:true"]
    assert services["worker"]["stop_grace_period"] == "30s"
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}, "nothing is open to the network by itself"
    assert "secret" not in str(services["worker"]["environment"]).replace("/run/secrets/", "").lower(), "secrets are files"
    for source in [secret["file"] for secret in described["secrets"].values()]:
        assert Path(source).is_file()
    for volume in [volume for service in services.values() for volume in service.get("volumes", []) if volume["type"] == "bind"]:
        assert Path(volume["source"]).exists(), volume


@pytest.mark.timeout(300)
async def test_one_command_brings_all_of_it_up_and_data_moves_both_ways(project, image, capsys):
    begin = time.monotonic()
    await asyncio.to_thread(compose, *project, "up", "--no-build", "--wait", image=image)
    up = time.monotonic() - begin
    ids = compose(*project, "ps", "--quiet", image=image).splitlines()
    assert {Container(each).inspect(".State.Health.Status") for each in ids} == {"healthy"}

    broker = Api("http://" + compose(*project, "port", "rabbitmq", "15672", image=image), "worker", "only-for-trying")
    message = {
        "routing_key": "erp.assets",
        "properties": {},
        "payload_encoding": "string",
        "payload": json.dumps({"serial": "SN-1", "customer": 12, "type": 1}),
    }
    broker.call("POST", "/api/exchanges/%2F/amq.default/publish", message)
    halo = Api("http://" + compose(*project, "port", "sandbox", "8090", image=image), "", "")

    async def created():
        return [entry for entry in halo.call("GET", "/_sandbox/journal?method=POST&path=/Asset")["executed"] if entry["created"]]

    async def published():
        return broker.call("GET", "/api/queues/%2F/events.tickets").get("messages", 0) > 0

    await until(created)
    moved = time.monotonic() - begin
    await until(published)
    with capsys.disabled():
        print(f"\n  up and healthy after {up:.1f} s, the first record in Halo after {moved:.1f} s")  # noqa: T201  a measured number is for reading
