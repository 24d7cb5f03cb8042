"""The addresses of the broker: WORKER_AMQP_URL lists the nodes of one cluster, with commas. The worker can use any of them."""

from __future__ import annotations

import re
from urllib.parse import unquote

from yarl import URL

from worker.core.url_credentials import NOT_ENCODED, is_encoded

VALID = (
    "amqp://user:password@host:5672/vhost, amqps://user:password@host:5671/vhost, several of one cluster with commas between them, "
    "or memory:// for the embedded broker"
)
BEGIN = re.compile(r"[A-Za-z]+://")
DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}
COMMA = "a comma separates addresses, and each begins with amqp:// or amqps://; write a comma inside an address as %2C, also in a user name or password"


def addresses_of(text: str) -> tuple[str, ...]:
    """The addresses in the order in which they are written."""
    return tuple(part.strip() for part in text.split(","))


def mistake_in(text: str) -> str | None:
    """The mistake in a list of addresses, None without one. The sentence quotes nothing of the list, which holds passwords."""
    addresses = addresses_of(text)
    several = len(addresses) > 1
    for number, address in enumerate(addresses, 1):
        if several and BEGIN.match(address) is None:  # checked first: a part of a password that holds a comma may cause any of the other mistakes
            return f"address {number} of {len(addresses)}: {'it is not an address' if address else 'it is empty'}; {COMMA}"
    for number, address in enumerate(addresses, 1):
        which = f"address {number} of {len(addresses)}: " if several else ""
        if not is_encoded(address):
            return f"{which}{NOT_ENCODED}"
        if not is_address(address):
            return f"{which}it is not an address of a broker; valid are {VALID}; special characters in the password are percent-encoded"
    return of_one_cluster([URL(address) for address in addresses])


def is_address(address: str) -> bool:
    try:
        url = URL(address)
        return url.scheme == "memory" or (url.scheme in DEFAULT_PORTS and bool(url.host) and url.port != 0)
    except ValueError:
        return False


def of_one_cluster(urls: list[URL]) -> str | None:
    """Why these addresses are not the nodes of one cluster, reached in the same way; None if they are."""
    first, *others = urls
    if not others:
        return None
    if any(url.scheme == "memory" for url in urls):
        return "memory:// exists within one process and has no other address"
    for number, url in enumerate(others, 2):
        which = f"addresses 1 and {number}"
        if virtual_host(url) != virtual_host(first):
            return (
                f"{which} name different virtual hosts; the addresses are nodes of one cluster, and the worker's state is in one virtual host: name it in all"
            )
        if (url.user, url.password) != (first.user, first.password):
            return f"{which} have different users or passwords; the nodes of a cluster share their users: write the same in all"
        if url.scheme != first.scheme:
            return f"{which} mix amqp:// and amqps://; use amqps:// in all, so that no failure of a node takes the encryption away"
    places = [place_of(url) for url in urls]
    if doubled := next((place for place in places if places.count(place) > 1), None):
        return (
            f"addresses {places.index(doubled) + 1} and {places.index(doubled, places.index(doubled) + 1) + 1} name the same host and port: name each node once"
        )
    return None


def virtual_host(url: URL | str) -> str:
    """The virtual host of an address, or of the first address of a list."""
    address = URL(addresses_of(url)[0]) if isinstance(url, str) else url
    return unquote(address.raw_path.removeprefix("/")) or "/"


def place_of(url: URL | str) -> str:
    """Host and port of an address: the parts that may be shown."""
    address = URL(url) if isinstance(url, str) else url
    return f"{address.host_subcomponent}:{address.port or DEFAULT_PORTS.get(address.scheme, 0)}"
