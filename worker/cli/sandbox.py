"""`halo-worker sandbox`: runs the simulated HaloITSM alone, for developing routes."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress

import orjson
from rich.console import Console

from worker.cli.console import SafeConsole
from worker.core.printable import printable_json
from worker.sandbox.activity import simulate_activity
from worker.sandbox.journal import ReceivedRequest
from worker.sandbox.server import Watcher, serve
from worker.sandbox.settings import SandboxSettings
from worker.sandbox.simulated_halo import SimulatedHalo

COLOURS = ((200, "dim"), (300, "green"), (400, "yellow"), (500, "red"))


def run_sandbox(
    *,
    host: str = "127.0.0.1",
    port: int = 8090,
    seed: int = 1,
    tickets: int = 200,
    activity: float = 0.0,
    page_cap: int | None = 100,
    rate_limit: int | None = 700,
) -> int:
    """Serve until Ctrl-C or SIGTERM. `activity`: changes by other users per second. Prints one line per request: readable on a terminal, JSON in a pipe."""
    settings = SandboxSettings(seed=seed, tickets=tickets, page_cap=page_cap, rate_limit=rate_limit)
    try:
        asyncio.run(_run(settings, host, port, activity))
    except OSError as error:
        sys.stderr.write(f"cannot listen on {host}:{port}: {error.strerror or error}\n")
        return 1
    return 0


async def _run(settings: SandboxSettings, host: str, port: int, activity: float) -> None:
    console = SafeConsole(highlight=False)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with serve(settings, host=host, port=port, watcher=_printer(console)) as halo:
        _welcome(console, halo)
        busy = asyncio.create_task(simulate_activity(halo.store, activity, settings.seed)) if activity > 0 else None
        await stopping.wait()
        if busy is not None:
            busy.cancel()
            with suppress(asyncio.CancelledError):
                await busy


def _welcome(console: Console, halo: SimulatedHalo) -> None:
    settings = halo.settings
    if not console.is_terminal:
        _line({"event": "sandbox.ready", "url": halo.url, "client_id": settings.client_id, "tickets": halo.store.count("tickets")})
        return
    console.print(f"[bold]A simulated HaloITSM listens on {halo.url}[/bold] with {halo.store.count('tickets')} tickets. Ctrl-C ends it.\n", soft_wrap=True)
    console.print("A client for your route file:\n")
    for text in client_block(halo):
        console.print(f"    {text}", markup=False, soft_wrap=True)  # a wrapped line is no YAML
    console.print(f"\nWith a user name: type: password, username: {settings.username}, password: {settings.password}", soft_wrap=True)
    console.print(f"Faults, journal, settings and records: {halo.url}/_sandbox/journal and its neighbours faults, settings, records/Tickets\n", soft_wrap=True)


def client_block(halo: SimulatedHalo) -> tuple[str, ...]:
    """Lines of YAML that make this sandbox the client `main`."""
    settings = halo.settings
    return (
        "clients:",
        "  main:",
        f"    url: {halo.url}",
        f"    tenant: {settings.tenant}",
        f"    auth: {{type: client_credentials, client_id: {settings.client_id}, client_secret: {settings.client_secret}, scopes: [all]}}",
    )


def _printer(console: Console) -> Watcher:
    def show(received: ReceivedRequest, seconds: float) -> None:
        status = received.status or 0
        query = "&".join(f"{name}={value}" for name, value in received.query.items())
        if not console.is_terminal:
            _line(
                {"event": "request.answered", "method": received.method, "path": received.path, "query": query, "status": status, "seconds": round(seconds, 4)}
            )
            return
        colour = next((name for bound, name in reversed(COLOURS) if status >= bound), "magenta")
        address = received.path + (f"?{query}" if query else "")
        console.print(f"{received.time:%H:%M:%S} {received.method:6} [{colour}]{status or 'cut':>3}[/{colour}] {seconds * 1000:7.1f} ms  ", end="")
        console.print(address, markup=False, soft_wrap=True)

    return show


def _line(event: dict[str, object]) -> None:
    sys.stdout.buffer.write(printable_json(orjson.dumps(event).decode()).encode() + b"\n")
    sys.stdout.buffer.flush()
