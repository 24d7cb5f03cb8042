"""Workers, a simulated Halo and a RabbitMQ as containers on one network, and this process as the other system."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.image.engine import HARDENED, Container, Refused, Yard, docker
from tests.tools.job import OtherSystem
from tests.tools.ports import free_ports
from tests.tools.process import write_routes
from tests.tools.rabbitmq import RabbitMQ
from tests.tools.rabbitmq_api import Api
from tests.tools.waiting import until
from worker.broker.open import open_broker

BROKER = "rabbitmq:4-management"
HALO = "http://sandbox:8090"
SECRET = "sandbox-secret"


def broker_of(yard: Yard) -> RabbitMQ:
    """A broker container, up. Its ports are chosen here, so that they are the same after it was stopped and started."""
    amqp, api = free_ports(2)
    yard.run(BROKER, name="broker", options=("--publish", f"127.0.0.1:{amqp}:5672", "--publish", f"127.0.0.1:{api}:15672"))
    management = Api(f"http://127.0.0.1:{api}", "guest", "guest")
    management.wait()
    return RabbitMQ(f"amqp://guest:guest@127.0.0.1:{amqp}", management)


def definitions(**publisher: Any) -> dict[str, Any]:
    """A route file: assets into Halo, looked up before a create is repeated, and tickets out of it."""
    auth = {"type": "client_credentials", "client_id": "sandbox-client", "client_secret": "${file:halo_secret}"}
    return {
        "clients": {"main": {"url": HALO, "auth": auth, "rate_limit": "none"}},
        "subscribers": {"tickets": {"client": "main", "entity": "Tickets", "every": "500ms", "start": "beginning", "queue": "events"}},
        "publishers": {
            "assets": {
                "client": "main",
                "queue": "assets",
                "entity": "Asset",
                "transform": {"payload": {"inventory_number": "{{ serial }}", "client_id": 12, "assettype_id": 1}},
                "find": {"query": {"search": "{{ serial }}"}, "match": {"inventory_number": "{{ serial }}"}},
                "retry": ["1s", "2s", "5s"],
            }
            | publisher
        },
    }


@dataclass
class Halo:
    """The simulated Halo in its container, through its own door."""

    container: Container
    url: str

    async def call(self, method: str, path: str, document: Any = None) -> Any:
        async with aiohttp.ClientSession() as session, session.request(method, f"{self.url}/_sandbox/{path}", json=document) as answer:
            assert answer.ok, await answer.text()
            return await answer.json() if answer.status != 204 else None

    async def journal(self, method: str, path: str) -> dict[str, list[dict[str, Any]]]:
        return await self.call("GET", f"journal?method={method}&path={path}")

    async def serials(self) -> Counter[str]:
        """How often each asset was created."""
        executed = (await self.journal("POST", "/Asset"))["executed"]
        return Counter(asset["inventory_number"] for entry in executed if entry["created"] for asset in entry["body"])


@dataclass
class System:
    """Starts workers and a Halo for one test; `url` is its virtual host as seen from here."""

    image: str
    yard: Yard
    url: str
    folder: Path
    mine: list[Container] = field(default_factory=list)

    @property
    def inner_url(self) -> str:
        """The virtual host as seen from a container."""
        return f"amqp://guest:guest@broker:5672{urlsplit(self.url).path}"

    def write(self, routes: dict[str, Any], secret: str = SECRET) -> None:
        write_routes(self.folder, routes)
        (self.folder / "secrets" / "halo_secret").write_text(secret)

    async def halo(self, *options: str) -> Halo:
        container = self._run("sandbox", "--host", "0.0.0.0", "--rate-limit", "0", *options, name="sandbox", options=("--publish", "127.0.0.1::8090"))
        url = container.address(8090)

        async def answers() -> bool:
            try:
                async with aiohttp.ClientSession() as session, session.get(f"{url}/api/health") as answer:
                    return answer.ok
            except aiohttp.ClientError:
                return False

        await until(answers)
        return Halo(container, url)

    def worker(self, *options: object, **settings: Any) -> Container:
        """A replica, as hardened as the image allows; `settings` by name (`shutdown_grace`)."""
        given = {f"WORKER_{name.upper()}": value for name, value in ({"amqp_url": self.inner_url} | settings).items()}
        variables = [word for name, value in given.items() for word in ("--env", f"{name}={value}")]
        mounts = ("--volume", f"{self.folder}/routes:/routes:ro", "--volume", f"{self.folder}/secrets:/run/secrets:ro")
        return self._run(options=(*HARDENED, *mounts, "--publish", "127.0.0.1::8080", *variables, *options))

    @asynccontextmanager
    async def other(self) -> AsyncIterator[OtherSystem]:
        async with open_broker(self.url, name="other system") as broker:
            yield OtherSystem(broker)

    async def close(self) -> None:
        for container in self.mine:
            try:
                docker("rm", "--force", "--volumes", container.name)
            except Refused:
                continue

    def _run(self, *command: object, name: str = "", options: tuple[object, ...] = ()) -> Container:
        container = self.yard.run(self.image, *command, name=name, options=options)
        self.mine.append(container)
        return container
