"""Ports for servers of the tests that start later, or start again."""

from __future__ import annotations

import random
import socket

PORTS = range(20_000, 32_000)  # below those that Linux and macOS give to outgoing connections: nothing takes one between two starts


def free_ports(number: int) -> list[int]:
    """Different ports of the loopback interface on which nothing listens."""
    free = (port for port in random.sample(PORTS, len(PORTS)) if is_free(port))
    return [next(free) for _ in range(number)]


def free_port() -> int:
    return free_ports(1)[0]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a connection that has ended is no hindrance
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
