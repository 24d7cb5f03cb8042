"""A private, throw-away RabbitMQ in a container, by testcontainers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.tools.ports import free_ports
from tests.tools.rabbitmq_api import Api
from tests.tools.rabbitmq_node import KNOBS

AMQP, MANAGEMENT = 5672, 15672
LOOPBACK = "127.0.0.1"
STOP_SECONDS = 30


class NoContainer(Exception):
    """The image is not to be had; the text says what to do."""


class ContainerNode:
    """Stopped, killed and asked like a node on this machine. Its ports are chosen by us, so that it has the same after a restart."""

    def __init__(self, container: Any) -> None:
        self._container = container
        host = container.get_container_host_ip().replace("localhost", LOOPBACK)  # Docker may have taken the port on one of its two addresses only
        self.url = f"amqp://guest:guest@{host}:{container.get_exposed_port(AMQP)}"
        self.api = Api(f"http://{host}:{container.get_exposed_port(MANAGEMENT)}", "guest", "guest")

    def start(self) -> None:
        self._container.get_wrapped_container().start()
        self.api.wait()

    def stop(self) -> None:
        self._container.get_wrapped_container().stop(timeout=STOP_SECONDS)

    def kill(self) -> None:
        """As if the power failed."""
        self._container.get_wrapped_container().kill()
        self._container.get_wrapped_container().wait()

    def ctl(self, *arguments: str) -> str:
        code, (output, errors) = self._container.get_wrapped_container().exec_run(["rabbitmqctl", *arguments], demux=True)
        if code:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {(errors or output or b'').decode().strip()}")
        return (output or b"").decode()


@contextmanager
def container(image: str) -> Iterator[ContainerNode]:
    """A started one; testcontainers' own watcher (Ryuk) is used unless TESTCONTAINERS_RYUK_DISABLED says otherwise. Raises `NoContainer`."""
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer

    new = DockerContainer(image).with_copy_into_container(KNOBS.encode(), "/etc/rabbitmq/conf.d/90-tests.conf")
    client = new.get_docker_client()
    near = client.get_connection_mode().value == "docker_host" and client.host() in {"localhost", LOOPBACK}
    for inner, outer in zip((AMQP, MANAGEMENT), free_ports(2), strict=True):
        new.ports[str(inner)] = (LOOPBACK, outer) if near else outer  # an engine elsewhere is reached by another address of it
    try:
        new.start()
    except DockerException as error:
        new.stop()
        raise NoContainer(
            f"a container of {image} cannot be started: {error}. Where images cannot be pulled, docker/stand-ins.sh makes local ones, and TESTCONTAINERS_RYUK_DISABLED=true does without Ryuk"
        ) from None
    try:
        node = ContainerNode(new)
        node.api.wait()
        yield node
    finally:
        new.stop()
