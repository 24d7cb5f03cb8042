"""Names and certificates: whether the host of a client can be found, and whether its certificate is believed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator

from yarl import URL

from worker.app.doctor.check import Check, Subject
from worker.config.routes import Client
from worker.core.ports import Clock

WITHIN = 15.0  # seconds for a connection and a handshake
SOON = 21  # days before its end in which a certificate is worth a warning
DAY = 86_400
LOOPBACK = ("127.", "localhost", "::1")


async def network_checks(client: Client, about: Subject, clock: Clock) -> AsyncIterator[Check]:
    """DNS, then TLS where the address has it. Through a proxy only the proxy's own name is looked up."""
    address = URL(client.proxy or client.api_url or client.url or "")
    host, port = address.host or "", address.port or 443
    tried = f"look up {host}" + (" (the proxy)" if client.proxy else "")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        where = f"`proxy` of client {client.name}" if client.proxy else f"`url` of client {client.name}: it is the address in the browser"
        yield about.failed("dns", tried, f"the name {host} is not known here", f"check {where}; a container may need a `dns` setting of its own")
        return
    yield about.good("dns", tried, ", ".join(sorted({str(each[4][0]) for each in found})[:4]))
    if client.proxy:
        yield about.unknown("tls", f"connect to {host}", "the proxy speaks TLS with Halo: the checks below show whether it works")
    elif address.scheme == "https":
        yield await certificate(client, about, host, port, clock)
    elif not host.startswith(LOOPBACK):
        yield about.warning("tls", f"read the address {address.origin()}", "credentials travel unencrypted", "use https://")


async def certificate(client: Client, about: Subject, host: str, port: int, clock: Clock) -> Check:
    """The certificate is believed, and lasts."""
    tried = f"connect to {host}:{port} and check its certificate"
    try:
        context = ssl.create_default_context(cafile=client.ca_file)
    except OSError:
        return about.failed("tls", tried, "the file of `ca_file` cannot be used", f"mount a PEM file at the `ca_file` of client {client.name}")
    try:
        async with asyncio.timeout(WITHIN):
            _, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    except ssl.SSLCertVerificationError as error:
        fix = "let `ca_file` of the client name a PEM file with the authority that signed it; where the name differs, correct `url`"
        return about.failed("tls", tried, f"the certificate is not believed: {error.verify_message}", fix)
    except ssl.SSLError as error:
        return about.failed(
            "tls", tried, f"no TLS: {error.reason or 'the server does not speak it'}", "check the port of `url`, or a firewall that takes TLS apart"
        )
    except TimeoutError:
        return about.failed("tls", tried, f"no connection within {WITHIN:.0f} s", "open the way out to this host and port in the firewall, or set `proxy`")
    except OSError as error:
        return about.failed("tls", tried, f"no connection: {(error.strerror or 'refused').lower()}", "open the way out to this host and port, or set `proxy`")
    ends = (writer.get_extra_info("peercert") or {}).get("notAfter")
    writer.close()
    days = int((ssl.cert_time_to_seconds(ends) - clock.now()) // DAY) if ends else SOON
    if days < SOON:
        return about.warning("tls", tried, f"the certificate ends in {days} days", "have it renewed")
    return about.good("tls", tried, f"believed, {days} days left")
