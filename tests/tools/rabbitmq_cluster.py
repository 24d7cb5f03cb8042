"""Three private RabbitMQ nodes on the loopback interface as one cluster, with proxies between them: nodes die, freeze, are cut off, and come back."""

from __future__ import annotations

import asyncio
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.tools.port_mapper import PortMapper
from tests.tools.ports import free_ports
from tests.tools.proxy import Proxy
from tests.tools.rabbitmq import NoRabbitMQ, RabbitMQ
from tests.tools.rabbitmq_api import Api
from tests.tools.rabbitmq_node import Node, NotStarted, Ports, data_folder, discard, find_server, listens, on_free_ports

SIZE = 3
CONF = """\
cluster_formation.peer_discovery_backend = classic_config
cluster_partition_handling = pause_minority
"""
WHOLE_SECONDS = 120.0
RESTART_SECONDS, TRIES = 60.0, 3


class Network:
    """What lies between the nodes: a port mapper for each, and a proxy from each to each other; in a thread and an event loop of its own."""

    def __init__(self, ports: list[Ports]) -> None:
        self._ports = ports
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network of the cluster", daemon=True)
        self._proxies: dict[tuple[int, int], Proxy] = {}
        self._mappers: list[PortMapper] = []
        self._servers: list[asyncio.Server] = []

    def start(self) -> None:
        self._thread.start()
        self._do(self._open)

    def cut(self, number: int, *, silent: bool) -> None:
        """Between this node and all others. `silent`: nothing arrives; otherwise both sides see a reset."""

        async def cut() -> None:
            for proxy in self._around(number):
                if silent:
                    proxy.hold()
                else:
                    proxy.refusing = True
                    proxy.reset()

        self._do(cut)

    def heal(self, number: int) -> None:
        """What was held arrives late."""

        async def heal() -> None:
            for proxy in self._around(number):
                proxy.refusing = False
                proxy.release()

        self._do(heal)

    def close(self) -> None:
        async def close() -> None:
            for server in self._servers:
                server.close()
            for proxy in self._proxies.values():
                await proxy.close()
            for mapper in self._mappers:
                mapper.close()
            if serving := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(serving)  # what is left alone here fails a test that comes later

        self._do(close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _around(self, number: int) -> list[Proxy]:
        return [proxy for edge, proxy in self._proxies.items() if number in edge]

    async def _open(self) -> None:
        alive: dict[str, int] = {}
        for one, own in enumerate(self._ports):
            ways = {}
            for other, theirs in enumerate(self._ports):
                if one != other:
                    proxy = self._proxies[one, other] = Proxy("127.0.0.1", theirs.distribution)
                    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
                    ways[theirs.name] = server.sockets[0].getsockname()[1]
                    self._servers.append(server)
            self._mappers.append(PortMapper(own.epmd, alive, ways))
            self._servers.append(await asyncio.start_server(self._mappers[-1].serve, "127.0.0.1", own.epmd))

    def _do(self, work: Callable[[], Any]) -> None:
        asyncio.run_coroutine_threadsafe(work(), self._loop).result(30)


class Cluster:
    """`nodes`, each with its place in the list; `away`: those that are killed, frozen or cut off now."""

    def __init__(self, commands: Path) -> None:
        every, cookie = [Ports.free() for _ in range(SIZE)], secrets.token_hex(16)
        if len({port for ports in every for port in vars(ports).values()}) < SIZE * 4:
            numbers = iter(free_ports(SIZE * 4))
            every = [Ports(*(next(numbers) for _ in range(4))) for _ in range(SIZE)]
        members = "".join(f"cluster_formation.classic_config.nodes.{number} = {ports.name}@localhost\n" for number, ports in enumerate(every, 1))
        self._network = Network(every)
        self.nodes = [
            Node(commands, Path(tempfile.mkdtemp(prefix="rabbitmq-", dir=data_folder())), CONF + members, ports, cookie=cookie, shared_epmd=True)
            for ports in every
        ]
        self.away: set[int] = set()
        self.api = ClusterApi(self)

    @property
    def url(self) -> str:
        return ",".join(node.url for node in self.nodes)

    def start(self) -> None:
        """Returns when the three know each other."""
        self._network.start()
        with ThreadPoolExecutor(SIZE) as pool:
            list(pool.map(Node.start, self.nodes))
        self.wait_whole()

    def wait_whole(self, within: float = WHOLE_SECONDS) -> None:
        """Until every node says that all are running and none is cut off. Raises `TimeoutError`."""
        until = time.monotonic() + within
        while not all(self._knows_all(node) for node in self.nodes):
            if time.monotonic() > until:
                raise TimeoutError(f"the cluster is not whole after {within:.0f} s")
            time.sleep(0.1)

    def kill(self, number: int) -> None:
        """As if its power failed."""
        self.away.add(number)
        self.nodes[number].kill()

    def restart(self, number: int) -> None:
        """Start a node that was killed. One that hangs while it starts is killed and started again, as a liveness probe does: Erlang's `global` can wait for ever."""
        node = self.nodes[number]
        for left in reversed(range(TRIES)):
            try:
                node.start(RESTART_SECONDS)
                break
            except NotStarted:
                node.kill()
                if not left:
                    raise
        self._back(number)

    def recover(self) -> None:
        """Bring back whatever is away, in whatever way it went."""
        for number in list(self.away):
            self._network.heal(number)
            self.nodes[number].signal(signal.SIGCONT)
            if self.nodes[number].running:
                with suppress(TimeoutError):
                    self._back(number)
                    continue
                self.nodes[number].kill()
            self.restart(number)

    def freeze(self, number: int) -> None:
        self.away.add(number)
        self.nodes[number].signal(signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        self.nodes[number].signal(signal.SIGCONT)
        self._back(number)

    def cut(self, number: int, *, silent: bool = False) -> None:
        """From the other nodes; clients still reach it. It closes its doors when it finds that it is alone, `silent` after a minute (net_ticktime)."""
        self.away.add(number)
        self._network.cut(number, silent=silent)

    def heal(self, number: int) -> None:
        self._network.heal(number)
        self._back(number)

    def close(self) -> None:
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            discard(node)
        self._network.close()

    def _back(self, number: int) -> None:
        self.wait_whole()
        self.away.discard(number)

    def _knows_all(self, node: Node) -> bool:
        if not listens(node.port):
            return False
        try:
            found: Any = Api(node.api, "guest", "guest").call("GET", "/api/nodes?columns=name,running,partitions")
        except OSError:
            return False
        return len(found) == SIZE and all(each.get("running") and not each.get("partitions") for each in found)


class ClusterApi:
    """As `Api`, at any node that is there."""

    user, password = "guest", "guest"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def call(self, method: str, path: str, body: object = None) -> Any:
        here = [node for number, node in enumerate(self._cluster.nodes) if number not in self._cluster.away]
        for node in here[:-1]:
            try:
                return Api(node.api, self.user, self.password).call(method, path, body)
            except OSError:
                continue
        return Api(here[-1].api, self.user, self.password).call(method, path, body)


@contextmanager
def rabbitmq_cluster(environment: Mapping[str, str] | None = None) -> Iterator[tuple[RabbitMQ, Cluster]]:
    """A started cluster; at exit nothing of it is left. Raises `NoRabbitMQ`."""
    server = find_server() if environment is None else find_server(environment)
    if server is None:
        raise NoRabbitMQ("a cluster needs an installed RabbitMQ: install rabbitmq-server, or name the folder of a release in WORKER_TEST_RABBITMQ_HOME")
    cluster = on_free_ports(lambda: Cluster(server), Cluster.start, Cluster.close)
    try:
        yield RabbitMQ(cluster.url, cluster.api), cluster
    finally:
        cluster.close()
