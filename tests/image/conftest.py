"""The container image, built once and run on a real engine; nothing here is run without having been asked for."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.image.engine import ROOT, Refused, Yard, docker, yard
from tests.image.system import BROKER, System, broker_of
from tests.tools.rabbitmq import RabbitMQ, docker_answers

ASKED = "WORKER_TEST_IMAGE"
IMAGE = "halo-worker:test"


@pytest.fixture(scope="session")
def engine() -> None:
    """Skips what needs Docker unless it is asked for (`make image-test` does), since it builds images. Where it is asked for, an engine must be there."""
    if not os.environ.get(ASKED):
        pytest.skip("not run: `make image-test` builds the container image and runs it")
    if shutil.which("docker") is None or not docker_answers(os.environ):
        pytest.fail("there is no Docker engine here (or the docker command is missing), so the container image was neither built nor tested", pytrace=False)


@pytest.fixture(scope="session")
def image(engine: None) -> str:
    """The name of the image, built from the working tree."""
    try:
        base = ("--build-arg", f"PYTHON_IMAGE={os.environ['PYTHON_IMAGE']}") if "PYTHON_IMAGE" in os.environ else ()
        docker("build", "--quiet", "--file", "docker/Dockerfile", "--tag", IMAGE, *base, ROOT)
        docker("image", "inspect", BROKER) if docker("images", "--quiet", BROKER) else docker("pull", "--quiet", BROKER)
    except Refused as refused:
        pytest.fail(f"{refused}\nWhere images cannot be pulled, docker/stand-ins.sh makes local stand-ins.", pytrace=False)
    return IMAGE


@pytest.fixture(scope="session")
def shared_yard(image: str) -> Iterator[Yard]:
    with yard() as here:
        yield here


@pytest.fixture(scope="session")
def broker_container(shared_yard: Yard) -> RabbitMQ:
    """One RabbitMQ for all tests here; each gets a virtual host."""
    return broker_of(shared_yard)


@pytest.fixture
async def system(image: str, shared_yard: Yard, broker_container: RabbitMQ, tmp_path: Path) -> AsyncIterator[System]:
    """The worker's image with a fresh virtual host and a folder for its files."""
    url = broker_container.new_vhost()
    here = System(image, shared_yard, url, tmp_path)
    yield here
    await here.close()
    broker_container.drop_vhost(url)
