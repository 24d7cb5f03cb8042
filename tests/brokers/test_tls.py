"""RabbitMQ over TLS: only a server whose certificate is in order gets the password, and what is wrong with it is told."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from trustme import LeafCert

from tests.brokers.conftest import take
from tests.tools.certificates import Authority
from tests.tools.ports import free_port
from tests.tools.rabbitmq import RabbitMQ
from tests.tools.rabbitmq_node import Node, find_server, private_node
from worker.broker.rabbitmq import connect
from worker.broker.rabbitmq.failures import tls_trouble
from worker.core.errors import BrokerUnreachable
from worker.core.message import Message
from worker.core.topology import Topology, browsed

SECRET = "marker-secret-7f3a"
CONF = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {ca_file}
ssl_options.certfile = {folder}/certificate.pem
ssl_options.keyfile = {folder}/key.pem
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
"""


@dataclass
class Server:
    """A node with a TLS listener. `show` gives it another certificate."""

    node: Node
    port: int
    folder: Path
    authority: Authority

    def show(self, certificate: LeafCert) -> None:
        write(self.folder, certificate)
        self.node.ctl("eval", "ssl:clear_pem_cache().")

    def url(self, query: str = "", secret: str = "guest") -> str:
        return f"amqps://guest:{secret}@127.0.0.1:{self.port}/?{query}"

    @property
    def trusted(self) -> str:
        return self.url(f"cafile={self.authority.ca_file}")


def write(folder: Path, certificate: LeafCert) -> None:
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")


@pytest.fixture(scope="module")
def server(rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A node of its own: listeners are a matter of its start. The session's broker is asked for because it is what installs one."""
    commands = find_server()
    if commands is None:
        pytest.skip("a TLS listener needs a private node: install rabbitmq-server")
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    write(folder, authority.good())
    port = free_port()
    with private_node(commands, CONF.format(port=port, ca_file=authority.ca_file, folder=folder)) as node:
        yield Server(node, port, folder, authority)


@pytest.fixture
def stranger(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def refusal(url: str) -> str:
    with pytest.raises(BrokerUnreachable) as told:
        async with connect(url, name="test"):
            pass
    assert SECRET not in repr(told.value)
    return str(told.value)


async def test_an_own_authority_is_trusted_and_messages_pass(server: Server):
    async with connect(server.trusted, name="test") as broker:
        await broker.declare(Topology(queues=(browsed("in"),)))
        await broker.publish(Message(b"1" * 1_000_000), routing_key="in")
        assert (await take(broker, "in")).message.body == b"1" * 1_000_000


async def test_without_its_authority_the_certificate_is_refused(server: Server, stranger: Authority):
    sentence = f"RabbitMQ at 127.0.0.1:{server.port} cannot be used: its certificate is not accepted: self-signed certificate in certificate chain"
    assert await refusal(server.url(secret=SECRET)) == sentence
    assert await refusal(server.url(f"cafile={stranger.ca_file}", secret=SECRET)) == sentence


@pytest.mark.parametrize(
    ("faulty", "why"),
    [
        (Authority.expired, "certificate has expired"),
        (Authority.for_another_host, "IP address mismatch, certificate is not valid for '127.0.0.1'."),
    ],
)
async def test_a_faulty_certificate_is_told_until_it_is_renewed(server: Server, faulty: Callable[[Authority], LeafCert], why: str):
    await asyncio.to_thread(server.show, faulty(server.authority))
    try:
        told = await refusal(server.trusted.replace("guest:guest", f"guest:{SECRET}"))
        assert told == f"RabbitMQ at 127.0.0.1:{server.port} cannot be used: its certificate is not accepted: {why}"
    finally:
        await asyncio.to_thread(server.show, server.authority.good())
    async with connect(server.trusted, name="test"):
        pass


async def test_credentials_that_are_refused_are_told_as_without_tls(server: Server):
    told = await refusal(server.trusted.replace("guest:guest", f"guest:{SECRET}"))
    assert told == f"RabbitMQ at 127.0.0.1:{server.port} cannot be used: it refuses the user 'guest' or the password"


@pytest.fixture
def demanding(server: Server) -> Iterator[int]:
    """The port of a further listener of the node, which lets nobody in without a certificate."""
    port = free_port()
    files = f'{{cacertfile,"{server.authority.ca_file}"}},{{certfile,"{server.folder}/certificate.pem"}},{{keyfile,"{server.folder}/key.pem"}}'
    listener = f'{{"127.0.0.1",{port},auto}}'
    options = f"[{files},{{verify,verify_peer}},{{fail_if_no_peer_cert,true}}]"
    server.node.ctl("eval", f"rabbit_networking:start_ssl_listener({listener},{options},2).")
    yield port
    server.node.ctl("eval", f"rabbit_networking:stop_tcp_listener({listener}).")


async def test_a_server_that_demands_a_certificate_of_ours_gets_the_one_that_the_address_names(server: Server, demanding: int, tmp_path: Path):
    write(tmp_path, server.authority.for_a_client())
    url = server.trusted.replace(f":{server.port}", f":{demanding}")
    async with connect(f"{url}&certfile={tmp_path}/certificate.pem&keyfile={tmp_path}/key.pem", name="test"):
        shown = await asyncio.to_thread(server.node.ctl, "list_connections", "peer_cert_subject", "--silent")
    assert "CN=halo-worker" in shown
    told = await refusal(url.replace("guest:guest", f"guest:{SECRET}"))
    assert "client certificate" in told  # as an alert or as a reset, whichever arrives first
    assert "certfile and keyfile" in told


async def test_a_certificate_of_ours_that_is_not_accepted_is_told(server: Server, demanding: int, stranger: Authority, tmp_path: Path):
    write(tmp_path, stranger.for_a_client())
    url = server.trusted.replace(f":{server.port}", f":{demanding}").replace("guest:guest", f"guest:{SECRET}")
    assert "client certificate" in await refusal(f"{url}&certfile={tmp_path}/certificate.pem&keyfile={tmp_path}/key.pem")


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "it requires a client certificate that it accepts (TLSV13_ALERT_CERTIFICATE_REQUIRED): name one"),
        ("TLSV1_ALERT_UNKNOWN_CA", "it requires a client certificate that it accepts (TLSV1_ALERT_UNKNOWN_CA): name one"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "TLS failed (TLSV1_ALERT_PROTOCOL_VERSION): is this its TLS port?"),
    ],
)
def test_an_alert_of_the_server_is_told(reason: str, told: str):
    error = ssl.SSLError(1, reason)
    error.reason = reason
    assert tls_trouble(error).startswith(told)


async def test_a_file_that_cannot_be_used_is_told(server: Server, tmp_path: Path):
    place = f"RabbitMQ at 127.0.0.1:{server.port} cannot be used: a certificate "
    (tmp_path / "empty.pem").touch()
    (tmp_path / "wrong.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert await refusal(server.url(f"cafile={tmp_path}/none.pem")) == place + "file that its address names does not exist"
    for query in (f"cafile={tmp_path}/empty.pem", f"cafile={tmp_path}/wrong.pem", f"certfile={tmp_path}/empty.pem"):
        assert (await refusal(server.url(query, SECRET))).startswith(place + "or key file that its address names cannot be used: ")


async def test_a_plain_port_and_a_tls_port_are_not_mistaken_for_each_other(server: Server):
    told = await refusal(server.url(secret=SECRET).replace("amqps:", "amqp:"))
    assert told == f"RabbitMQ at 127.0.0.1:{server.port} cannot be used: it closed the connection: it is only starting, or speaks TLS there (amqps)"
    told = await refusal(f"amqps://guest:{SECRET}@127.0.0.1:{server.node.port}/")
    assert told == f"RabbitMQ at 127.0.0.1:{server.node.port} cannot be used: TLS failed (WRONG_VERSION_NUMBER): is this its TLS port?"
