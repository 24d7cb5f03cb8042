"""The tests get a RabbitMQ by themselves, say how when they cannot, and leave nothing of it behind."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.tools.rabbitmq import API, FOUR_WAYS, IMAGE, URL, WAY, NoRabbitMQ, docker_answers, rabbitmq
from tests.tools.rabbitmq_cluster import SIZE, rabbitmq_cluster
from tests.tools.rabbitmq_node import Ports, accepts, data_folder, find_server, install_server, private_node

NOTHING = {"PATH": "/nowhere"}


class FakeApi(BaseHTTPRequestHandler):
    """A management API that says yes to everything."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(f"{self.command} {self.path}")
        self.send_response(204)
        self.end_headers()

    do_GET = do_PUT = do_DELETE = answer  # noqa: N815  # the names that http.server looks for

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def fake_api() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), FakeApi) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_broker_that_is_given_is_used_with_a_virtual_host_per_test(fake_api: HTTPServer):
    environment = NOTHING | {URL: "amqp://me:pass@broker.test:5671/ignored", API: f"http://127.0.0.1:{fake_api.server_port}"}
    with rabbitmq(environment) as broker:
        first, second = broker.new_vhost(), broker.new_vhost()
        broker.drop_vhost(first)
        with pytest.raises(pytest.skip.Exception, match="needs a private node"):
            broker.kill()
    assert first != second
    assert first.startswith("amqp://me:pass@broker.test:5671/test-")
    vhost = first.rpartition("/")[2]
    assert fake_api.asked[:3] == ["GET /api/overview", f"PUT /api/vhosts/{vhost}", f"PUT /api/permissions/{vhost}/me"]
    assert fake_api.asked[-1] == f"DELETE /api/vhosts/{vhost}"


def test_a_broker_that_is_given_without_its_management_api_is_told():
    with (
        pytest.raises(NoRabbitMQ, match=f"the management API at http://127.0.0.1:1 does not answer .* Set {API} to its address"),
        rabbitmq(NOTHING | {URL: "amqp://127.0.0.1/", API: "http://127.0.0.1:1"}),
    ):
        pass


def test_where_nothing_is_installed_it_is_installed_or_all_four_ways_are_told():
    asked = []
    with pytest.raises(NoRabbitMQ) as told, rabbitmq(NOTHING, say=asked.append, install=lambda say: say("installing")):
        pass
    assert asked == ["installing"]
    assert str(told.value) == FOUR_WAYS


def test_a_way_that_there_is_not_is_told_with_those_that_there_are():
    with pytest.raises(NoRabbitMQ, match=f"{WAY} cannot be 'podman'; valid are node and container"), rabbitmq(NOTHING | {WAY: "podman"}):
        pass


def test_a_container_that_is_asked_for_is_not_replaced_by_anything_else():
    with pytest.raises(NoRabbitMQ, match="no Docker engine answers"), rabbitmq({**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock", WAY: "container"}):
        pass


def test_a_node_that_is_asked_for_is_preferred_to_a_broker_that_is_given():
    with pytest.raises(NoRabbitMQ) as told, rabbitmq(NOTHING | {WAY: "node", URL: "amqp://127.0.0.1/"}, install=lambda _: None):
        pass
    assert str(told.value) == FOUR_WAYS


def test_an_image_that_cannot_be_had_is_told_with_what_to_do():
    if not docker_answers(os.environ):
        pytest.skip("not run: there is no Docker engine here")
    with (
        pytest.raises(NoRabbitMQ, match=r"nowhere\.invalid/rabbitmq cannot be started: .* docker/stand-ins\.sh"),
        rabbitmq({**os.environ, WAY: "container", IMAGE: "nowhere.invalid/rabbitmq"}),
    ):
        pass


APT = """#!/bin/sh
echo "$@" >> {folder}/asked
[ "$1" = install ] && touch {folder}/rabbitmq-server && chmod +x {folder}/rabbitmq-server
exit 0
"""


@pytest.fixture
def debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH and holds an apt-get."""
    (tmp_path / "apt-get").write_text(APT.format(folder=tmp_path))
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_root_on_debian_gets_it_installed_and_is_told_so(debian: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    said: list[str] = []
    assert install_server(said.append) is not None
    assert (debian / "asked").read_text().splitlines() == ["update", "install --yes --no-install-recommends rabbitmq-server"]
    assert "apt-get install rabbitmq-server" in said[0]


def test_nobody_else_gets_anything_installed(debian: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert install_server(lambda _: None) is None
    assert not (debian / "asked").exists()


def test_an_installed_server_is_found_by_path_and_hidden_without():
    assert find_server(NOTHING) is None
    assert find_server(NOTHING | {"WORKER_TEST_RABBITMQ_HOME": "/nowhere"}) is None


def test_an_unpacked_release_can_be_named(tmp_path: Path):
    (tmp_path / "sbin").mkdir()
    (tmp_path / "sbin" / "rabbitmq-server").touch()
    assert find_server(NOTHING | {"WORKER_TEST_RABBITMQ_HOME": str(tmp_path)}) == tmp_path / "sbin"


def test_a_docker_command_without_a_daemon_is_no_docker(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert not docker_answers({"DOCKER_HOST": "tcp://127.0.0.1:1"})
    assert not docker_answers(NOTHING)


def test_looking_for_a_docker_that_is_not_there_leaves_no_socket_open(tmp_path: Path):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert not docker_answers({"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"})
        gc.collect()
    assert [warning for warning in told if warning.category is ResourceWarning] == []


@pytest.mark.parametrize(("kilobytes", "in_memory"), [(2**30, True), (2**20, False)])
def test_its_data_is_in_memory_only_where_there_is_plenty(tmp_path: Path, kilobytes: int, in_memory: bool):
    (meminfo := tmp_path / "meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable:  {kilobytes} kB\nBuffers: 1 kB\n")
    assert data_folder(tmp_path, meminfo) == (tmp_path if in_memory else None)


def test_its_data_is_with_other_temporary_files_where_the_system_says_nothing_of_its_memory(tmp_path: Path):
    (empty := tmp_path / "meminfo").write_text("")
    assert [data_folder(tmp_path, empty), data_folder(tmp_path, tmp_path / "none"), data_folder(tmp_path / "none")] == [None] * 3


def test_a_server_that_cannot_start_is_told_with_what_it_said(tmp_path: Path):
    broken = tmp_path / "rabbitmq-server"
    broken.write_text("#!/bin/sh\necho no erlang here\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(RuntimeError, match="no erlang here"), private_node(tmp_path):
        pass


LIVES = """
import time
from tests.tools.rabbitmq import rabbitmq
with rabbitmq() as broker:
    print(broker.node.port, broker.node.epmd_port, broker.node.folder, flush=True)
    time.sleep(60)
"""


@pytest.mark.long
@pytest.mark.usefixtures("rabbitmq")  # where none was installed, it is now
def test_a_test_run_that_is_killed_leaves_no_node_behind():
    if find_server() is None:
        return  # a given broker or a container: nothing of ours to leave behind
    with subprocess.Popen(
        [sys.executable, "-c", LIVES], cwd=Path(__file__).parents[2], env={**os.environ, WAY: "node"}, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        port, epmd_port, folder = run.stdout.readline().split()
        assert accepts(int(port))
        assert accepts(int(epmd_port))
        run.kill()
    until = time.monotonic() + 20
    while time.monotonic() < until and (accepts(int(port)) or accepts(int(epmd_port)) or Path(folder).exists()):
        time.sleep(0.05)
    assert (accepts(int(port)), accepts(int(epmd_port)), Path(folder).exists()) == (False, False, False)


@pytest.mark.long
def test_a_node_that_was_used_and_killed_leaves_nothing_behind():
    commands = find_server()
    if commands is None:
        return
    with private_node(commands) as node:
        node.kill()
        node.start()
        assert node.ctl("version").strip()
    assert (accepts(node.port), accepts(node.epmd_port), node.folder.exists()) == (False, False, False)


@pytest.mark.long
@pytest.mark.parametrize("port", ["amqp", "api"])
def test_a_node_of_which_another_process_took_a_port_is_started_with_others(monkeypatch, port):
    commands = find_server()
    if commands is None:
        return
    taken, free = Ports.free(), Ports.free()
    tries = iter((taken, free))
    monkeypatch.setattr(Ports, "free", lambda: next(tries))
    with socket.create_server(("127.0.0.1", getattr(taken, port))), private_node(commands) as node:
        assert node.ports == free


@pytest.mark.long
def test_a_cluster_of_which_another_process_took_a_port_is_started_with_others(monkeypatch):
    if find_server() is None:
        return
    every, free = [Ports.free() for _ in range(2 * SIZE)], Ports.free
    tries = iter(every)
    monkeypatch.setattr(Ports, "free", lambda: next(tries, None) or free())
    with socket.create_server(("127.0.0.1", every[1].api)), rabbitmq_cluster() as (_, cluster):
        assert [node.ports for node in cluster.nodes] == every[SIZE:]
