"""Checks names and certificates: whether DNS knows a host, and whether its certificate is trusted."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from yarl import URL

from worker.app.doctor.check import Check, Subject
from worker.config.automation import Integration
from worker.config.routes import Client
from worker.core.errors import ConfigError
from worker.core.ports import Clock
from worker.halo.tls import tls_context

WITHIN = 15.0  # seconds for a connection and a handshake
SOON = 21  # days before a certificate's expiry from which the check warns
DAY = 86_400
LOOPBACK = ("127.", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of a route file. `owner`: such as `client main`; `member`: the key that holds the address; `peer`: the system at the address."""

    owner: str
    member: str
    peer: str
    url: URL
    proxy: str | None = field(default=None, repr=False)
    files: tuple[str | None, str | None, str | None] = (None, None, None)
    """`ca_file`, `cert_file` and `key_file`."""


def client_endpoint(client: Client) -> Endpoint:
    return Endpoint(f"client {client.name}", "url", "Halo", URL(client.api_url or client.url or ""), client.proxy, (client.ca_file, None, None))


def integration_endpoint(integration: Integration) -> Endpoint:
    files = (integration.ca_file, integration.cert_file, integration.key_file)
    return Endpoint(f"integration {integration.title}", "base_url", "the API", URL(integration.base_url), integration.proxy, files)


async def network_checks(endpoint: Endpoint, about: Subject, clock: Clock) -> AsyncIterator[Check]:
    """Check DNS, then TLS if the address uses it. With a proxy only the proxy's name is looked up."""
    address = URL(endpoint.proxy) if endpoint.proxy else endpoint.url
    host, port = address.host or "", address.port or 443
    tried = f"look up {host}" + (" (the proxy)" if endpoint.proxy else "")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        browser = ": it is the address in the browser" if endpoint.member == "url" else ""
        where = f"`proxy` of {endpoint.owner}" if endpoint.proxy else f"`{endpoint.member}` of {endpoint.owner}{browser}"
        yield about.failed("dns", tried, f"the name {host} is not known here", f"check {where}; a container may need a `dns` setting of its own")
        return
    yield about.good("dns", tried, ", ".join(sorted({str(each[4][0]) for each in found})[:4]))
    if endpoint.proxy:
        yield about.unknown("tls", f"connect to {host}", f"the proxy speaks TLS with {endpoint.peer}: the checks below show whether it works")
    elif address.scheme == "https":
        yield await certificate(endpoint, about, host, port, clock)
    elif not host.startswith(LOOPBACK):
        yield about.warning("tls", f"read the address {address.origin()}", "credentials travel unencrypted", "use https://")


async def certificate(endpoint: Endpoint, about: Subject, host: str, port: int, clock: Clock) -> Check:
    """Check that the certificate is trusted and does not expire soon."""
    tried, owner, member = f"connect to {host}:{port} and check its certificate", endpoint.owner, endpoint.member
    try:
        context = tls_context(owner, *endpoint.files)
    except ConfigError as error:
        reason = "; ".join(problem.message.removeprefix(f"{owner}: ") for problem in error.problems)
        return about.failed("tls", tried, reason, f"mount PEM files where {owner} names them")
    try:
        async with asyncio.timeout(WITHIN):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        fix = f"let `ca_file` of the {owner.partition(' ')[0]} name a PEM file with the authority that signed it; where the name differs, correct `{member}`"
        return about.failed("tls", tried, f"the certificate is not trusted: {error.verify_message}", fix)
    except ssl.SSLError as error:
        return about.failed(
            "tls", tried, f"no TLS: {error.reason or 'the server does not speak it'}", f"check the port of `{member}`, or a firewall that intercepts TLS"
        )
    except TimeoutError:
        return about.failed(
            "tls", tried, f"no connection within {WITHIN:.0f} s", "allow outgoing connections to this host and port in the firewall, or set `proxy`"
        )
    except OSError as error:
        return about.failed(
            "tls", tried, f"no connection: {(error.strerror or 'refused').lower()}", "allow outgoing connections to this host and port, or set `proxy`"
        )
    ends = (writer.get_extra_info("peercert") or {}).get("notAfter")
    writer.close()
    days = int((ssl.cert_time_to_seconds(ends) - clock.now()) // DAY) if ends else SOON
    if days < SOON:
        return about.warning("tls", tried, f"the certificate ends in {days} days", "have it renewed")
    return about.good("tls", tried, f"trusted, {days} days left")
