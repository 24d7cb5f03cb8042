"""Getting a real RabbitMQ for the tests: one that is given, a private node, a container, or an installation."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

import pytest

from tests.tools.alone import alone
from tests.tools.rabbitmq_api import Api
from tests.tools.rabbitmq_container import NoContainer, container
from tests.tools.rabbitmq_node import find_server, install_server, private_node

WAY = "WORKER_TEST_BROKER"
WAYS = ("node", "container")
# Each answers only when it has begun with its queue.
DEAD_LETTERING = "[catch sys:get_state(Worker) || {_, Worker, _, _} <- supervisor:which_children(rabbit_fifo_dlx_sup)]."
URL = "WORKER_TEST_AMQP_URL"
API = "WORKER_TEST_RABBITMQ_API"
IMAGE = "WORKER_TEST_RABBITMQ_IMAGE"
FOUR_WAYS = (
    "The tests need a real RabbitMQ and found none. Any one of these four will do:\n"
    f"  1. set {URL} to a broker of yours (and {API} to its management API when that is not on port 15672);\n"
    "  2. install rabbitmq-server, so that the tests can start a private node of it;\n"
    "  3. start Docker, so that the tests can run a container;\n"
    "  4. run the tests as root on Debian or Ubuntu, so that they can install it with apt-get."
)


class NoRabbitMQ(Exception):
    """Nothing to test against; the text says what to do."""


class Node(Protocol):
    """A RabbitMQ that is ours: a private node, or a container."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def ctl(self, *arguments: str) -> str: ...


class RabbitMQ:
    """A running RabbitMQ; `node` is set when it is ours to stop, kill and start again."""

    def __init__(self, url: str, api: Api, node: Node | None = None) -> None:
        self.url = url
        self.api = api
        self.node = node
        self._names = count(1)

    def new_vhost(self) -> str:
        """The URL of a fresh virtual host; of a cluster, the URLs of its nodes with commas between them."""
        name = f"test-{os.getpid()}-{next(self._names)}"
        self.api.call("PUT", f"/api/vhosts/{name}")
        self.api.call("PUT", f"/api/permissions/{name}/{quote(self.api.user, safe='')}", {"configure": ".*", "write": ".*", "read": ".*"})
        return ",".join(f"{url.rstrip('/')}/{name}" for url in self.url.split(","))

    def drop_vhost(self, url: str) -> None:
        """Also closes the connections to it."""
        self.api.call("DELETE", f"/api/vhosts/{quote(vhost_of(url), safe='')}")

    def delete_queue(self, url: str, queue: str) -> None:
        self.api.call("DELETE", f"/api/queues/{quote(vhost_of(url), safe='')}/{quote(queue, safe='')}")

    @property
    def ours(self) -> Node:
        """Skips the test where the broker is somebody's."""
        if self.node is None:
            pytest.skip("this test stops the broker or turns its knobs: it needs a private node (install rabbitmq-server)")
        return self.node

    def stop(self) -> None:
        self.ours.stop()

    def kill(self) -> None:
        """As if the power failed, yet not within a second of declaring a quorum queue: RabbitMQ loses such a new queue, since its register of them is written late."""
        self.ctl("eval", "[dets:sync(Table) || Table <- dets:all()].")
        self.ours.kill()

    def start(self) -> None:
        """Until it is past the moment when taking a virtual host away ends all at-least-once dead-lettering, and with it every such queue of any virtual host."""
        self.ours.start()
        self.ctl("eval", DEAD_LETTERING)

    def restart(self) -> None:
        self.stop()
        self.start()

    def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl` says; about half a second a call."""
        return self.ours.ctl(*arguments)


def vhost_of(url: str) -> str:
    return unquote(urlsplit(url.partition(",")[0]).path.removeprefix("/")) or "/"


class Say(Protocol):
    def __call__(self, text: str, /) -> None: ...


def say(text: str) -> None:
    """To the terminal, past pytest's capturing: an installation takes a while."""
    print(f"rabbitmq for the tests: {text}", file=sys.__stderr__, flush=True)


@contextmanager
def rabbitmq(environment: Mapping[str, str] = os.environ, say: Say = say, install: Callable[[Say], Path | None] | None = None) -> Iterator[RabbitMQ]:
    """The first of the four ways that works here, or the one that WORKER_TEST_BROKER names: node or container. Raises `NoRabbitMQ`."""
    way = environment.get(WAY, "")
    if way not in {"", *WAYS}:
        raise NoRabbitMQ(f"{WAY} cannot be {way!r}; valid are {' and '.join(WAYS)}")
    if environment.get(URL) and not way:
        yield given(environment)
        return
    server = find_server(environment)
    with ExitStack() as stack:
        if way == "container" or (not way and server is None and docker_answers(environment)):
            broker = in_container(stack, environment, say, only=bool(way))
            if broker is not None:
                yield broker
                return
        if server is None:
            with alone("install"):  # the tests run in several processes, and apt-get in one
                server = find_server(environment) or (install or install_server)(say)
        if server is None:
            raise NoRabbitMQ(FOUR_WAYS)
        node = stack.enter_context(private_node(server))
        yield RabbitMQ(node.url, Api(node.api, "guest", "guest"), node)


def in_container(stack: ExitStack, environment: Mapping[str, str], say: Say, *, only: bool) -> RabbitMQ | None:
    """None where the image is not to be had and there may be another way. Raises `NoRabbitMQ` where it is the `only` one."""
    if not docker_answers(environment):
        raise NoRabbitMQ(f"{WAY}=container, but no Docker engine answers")
    image = environment.get(IMAGE, "rabbitmq:4-management")
    say(f"starting a container of {image}")
    try:
        node = stack.enter_context(container(image))
    except NoContainer as reason:
        if only:
            raise NoRabbitMQ(str(reason)) from None
        say(str(reason))
        return None
    return RabbitMQ(node.url, node.api, node)


def given(environment: Mapping[str, str]) -> RabbitMQ:
    """Somebody's broker: every test still gets a virtual host of its own, which takes the management API."""
    url = environment[URL]
    parts = urlsplit(url)
    api = Api((environment.get(API) or f"http://{parts.hostname}:15672").rstrip("/"), unquote(parts.username or "guest"), unquote(parts.password or "guest"))
    try:
        api.call("GET", "/api/overview")
    except OSError as error:
        raise NoRabbitMQ(
            f"{URL} is set, but the management API at {api.base} does not answer ({error}); the tests make a virtual host each. Set {API} to its address."
        ) from None
    return RabbitMQ(f"{parts.scheme}://{parts.netloc}", api)


def docker_answers(environment: Mapping[str, str]) -> bool:
    """Whether a daemon is there, not only the command."""
    if shutil.which("docker", path=environment.get("PATH")) is None and "DOCKER_HOST" not in environment:
        return False
    if not somebody_listens(environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock"):
        return False  # the library would leave its socket open, and a warning for some test to fall over
    from docker.errors import DockerException

    import docker

    try:
        client = docker.from_env(timeout=10)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def somebody_listens(address: str) -> bool:
    """Whether a connection to a Docker address is taken; of other kinds than unix:// and tcp:// it is believed."""
    parts = urlsplit(address)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as door:
                door.connect(parts.path)
        elif parts.scheme == "tcp" and parts.hostname:
            socket.create_connection((parts.hostname, parts.port or 2375), timeout=5).close()
    except OSError:
        return False
    return True
