"""`halo-worker sandbox --record` and `--replay`: record a real Halo's answers without personal data, and serve them again."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from yarl import URL

from worker.cli.console import errors, output, write_json
from worker.core.errors import ConfigError, Problem
from worker.sandbox.recording.exchange_file import UnusableRecording, open_writer, read_exchanges
from worker.sandbox.recording.known_names import KnownNames
from worker.sandbox.recording.recorder import record
from worker.sandbox.recording.replay import replay
from worker.sandbox.recording.scrubbing import Scrubber

GOOD = 0


def run_recorded(upstream: str | None, recording: Path | None, out: Path, *, host: str, port: int, keep: Sequence[str], writes: bool) -> int:
    """Record or replay until Ctrl-C or SIGTERM. Raises `ConfigError`, `UnusableRecording`."""
    if upstream is not None and recording is not None:
        raise ConfigError([Problem("sandbox", 0, 0, "say --record or --replay, not both")])
    if recording is not None:
        return asyncio.run(_serve(replay(read_exchanges(recording), host, port, seen), f"Serving {recording}"))
    address = address_of(upstream or "")
    require_loopback(host)
    scrubber = Scrubber(KnownNames.published(keep))
    with open_writer(out) as writer:
        serving = record(address, scrubber, writer, host, port, writes=writes, watch=seen)
        asyncio.run(_serve(serving, f"Recording {address.origin()} to {out}; {'writes are passed on' if writes else 'reads only'}"))
    errors().print(f"{writer.count} exchanges in {out}. Personal data is masked; read the file before you share it.", soft_wrap=True)
    return GOOD


async def _serve(serving: AbstractAsyncContextManager[str], told: str) -> int:
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        async with serving as url:
            console = output()
            if console.is_terminal:
                console.print(f"{told}: {url}\nIn your route file: url: {url}. Ctrl-C ends it.", soft_wrap=True)
            else:
                write_json({"event": "sandbox.ready", "url": url}, indent=False)
            await stopping.wait()
    except OSError as error:
        raise UnusableRecording(f"cannot listen: {(error.strerror or 'unknown reason').lower()}") from None
    return GOOD


def seen(method: str, path: str, status: int) -> None:
    """Print one line for each request."""
    console = output()
    if console.is_terminal:
        console.print(f"{method:6} {status:>3} {path}", soft_wrap=True)
    else:
        write_json({"event": "request.answered", "method": method, "path": path, "status": status}, indent=False)


def address_of(text: str) -> URL:
    """Return the address of a real Halo. It must be https, because credentials travel to it, unless it is on this machine. Raises `ConfigError`."""
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    wrong = ""
    if url.scheme not in {"http", "https"} or not url.host:
        wrong = "must be the address of a Halo, such as https://acme.haloitsm.com"
    elif url.user or url.password:
        wrong = "must not hold credentials: your route file has them"
    elif url.path not in {"", "/"} or url.query_string:
        wrong = "must have no path: write https://acme.haloitsm.com"
    elif url.scheme == "http" and not is_loopback(url.host):
        wrong = "must begin with https: tokens travel to it"
    if wrong:
        raise ConfigError([Problem("--record", 0, 0, f"the address {wrong}")])
    return url


def require_loopback(host: str) -> None:
    """Require a loopback address: a program that reaches the recorder reaches the real Halo with the credentials that pass through it. Raises `ConfigError`."""
    if not is_loopback(host):
        raise ConfigError([Problem("--host", 0, 0, f"{host!r} is reachable from other machines: a recorder listens on this machine only, such as 127.0.0.1")])


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
