"""The sandbox as a process of its own."""

import asyncio
import json
import os
import pty
import signal
import socket
import sys
import textwrap

import aiohttp
from ruamel.yaml import YAML

START = "from worker.cli.sandbox import run_sandbox; import sys; sys.exit(run_sandbox(port=int(sys.argv[1]), tickets=12, activity=50))"


async def started(port=0):
    return await asyncio.create_subprocess_exec(sys.executable, "-c", START, str(port), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)


async def test_it_tells_where_it_is_prints_a_line_per_request_and_ends_when_asked():
    process = await started()
    ready = json.loads(await process.stdout.readline())
    assert (ready["event"], ready["tickets"]) == ("sandbox.ready", 12)
    async with aiohttp.ClientSession() as session, session.get(f"{ready['url']}/api/authinfo?x=1") as answer:
        assert answer.status == 200
    line = json.loads(await process.stdout.readline())
    assert (line["method"], line["path"], line["query"], line["status"]) == ("GET", "/api/authinfo", "x=1", 200)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0


async def test_a_narrow_terminal_shows_a_client_that_can_be_copied():
    ours, its = pty.openpty()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", START, "0", stdout=its, env={**os.environ, "COLUMNS": "60", "TERM": "xterm"})
    shown = ""
    while "records/Tickets" not in shown:
        shown += (await asyncio.to_thread(os.read, ours, 4096)).decode()
    process.terminate()
    assert await process.wait() == 0
    os.close(ours)
    os.close(its)
    block = [line for line in shown.replace("\r", "").splitlines() if line.startswith("    ")]
    client = YAML(typ="safe").load(textwrap.dedent("\n".join(block)))["clients"]["main"]
    assert (client["url"][:17], client["auth"]["scopes"]) == ("http://127.0.0.1:", ["all"])


async def test_others_change_records_at_the_rate_that_was_asked_for():
    process = await started()
    ready = json.loads(await process.stdout.readline())
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{ready['url']}/_sandbox/records/Tickets") as answer:
                if {ticket["id"] for ticket in await answer.json()} != set(range(1, 13)):
                    break
    process.terminate()
    assert await process.wait() == 0


async def test_a_port_in_use_is_reported_in_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = await started(taken.getsockname()[1])
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert errors.startswith(b"cannot listen on 127.0.0.1:")
    assert errors.count(b"\n") == 1
