"""Hosts that integrations may call: it recognises internal addresses, and reads the entries of `allow_hosts`."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from yarl import URL

from worker.core.addresses import is_public, read_address

IPAddress = IPv4Address | IPv6Address
NUMBER = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)
NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?", re.IGNORECASE)
HIGHEST_PORT = 65535
LONGEST_LABEL, LONGEST_NAME = 63, 253  # characters of RFC 1035
NO_NAME = "has a host that is no name: letters, digits, `-` and `_`, with single dots between them, such as acme.haloitsm.com"
HOST_FORM = "must be `host` or `host:port`, such as intranet.example or 10.0.0.5:8080"


def is_internal(address: IPAddress) -> bool:
    """Whether an address is not one of the public internet: private, loopback, link-local, shared, multicast, unspecified, reserved, or a cloud's metadata."""
    reached = read_address(str(address))
    return reached is None or not is_public(reached)


def literal_ip(host: str) -> IPAddress | None:
    """The IP address that a URL has as its host; None for a name."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        return None


def is_host(host: str) -> bool:
    """Whether the text is an IP address or may be a host name, in ASCII as in a URL. yarl also accepts spaces and empty labels."""
    if literal_ip(host) is not None:
        return True
    name = host.removesuffix(".")
    return NAME.fullmatch(name) is not None and len(name) <= LONGEST_NAME and all(0 < len(label) <= LONGEST_LABEL for label in name.split("."))


def is_numeric_host(host: str) -> bool:
    """Whether a host is an ambiguous spelling of an IPv4 address (`127.1`, `0x7f000001`, `2130706433`): systems read them differently."""
    return literal_ip(host) is None and NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]) is not None


def local(host: str) -> bool:
    """Whether a host is an internal address, or a name for this machine."""
    address = literal_ip(host)
    name = host.rstrip(".").lower()
    return is_internal(address) if address is not None else name == "localhost" or name.endswith(".localhost")


def is_allowed(host: str, port: int | None, allow_hosts: tuple[tuple[str, int | None], ...]) -> bool:
    """Whether an entry of `allow_hosts` names this host, and this port or none."""
    return any(name == host.rstrip(".").lower() and only in {None, port} for name, only in allow_hosts)


def host_entry(text: str) -> tuple[str, int | None]:
    """`host` or `host:port` as (host in lower case without brackets, port or None). Raises ValueError with a sentence."""
    entry = text.strip()
    address = literal_ip(entry)
    if address is not None:
        return str(address), None
    if "/" in entry or "@" in entry or "*" in entry or not entry:
        raise ValueError(f"{HOST_FORM}, without a scheme, a path or wildcards")
    try:
        url = URL(f"//{entry}")
        host, port = url.raw_host, url.explicit_port
    except ValueError:
        url, host, port = URL(), None, None
    if not host or url.raw_path not in {"", "/"} or url.query_string or url.fragment or (port is not None and not 1 <= port <= HIGHEST_PORT):
        raise ValueError(HOST_FORM)
    if is_numeric_host(host):
        raise ValueError("is an ambiguous address: write all four numbers, such as 127.0.0.1")
    address = literal_ip(host)
    if not is_host(host):
        raise ValueError(HOST_FORM)
    return (str(address) if address is not None else host.rstrip(".").lower()), port
