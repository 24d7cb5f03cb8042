"""The sandbox as a process of its own."""

import asyncio
import json
import signal
import socket
import sys

import aiohttp

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
