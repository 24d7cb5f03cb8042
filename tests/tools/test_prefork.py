"""The server that commands and expressions are forked from serves all processes of a run, and ends with the last of them."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.tools.prefork import ROOT, RUN
from tests.tools.waiting import SOON, until

USER = "import sys; from tests.tools.prefork import server; print(server('evaluator'), flush=True); sys.stdin.read()"

OWNER = """
import asyncio, os, sys
from tests.tools.prefork import evaluator
from worker.evaluator.limits import Limits

async def main():
    progress = os.memfd_create("progress")
    os.ftruncate(progress, 4096)
    await evaluator(int(sys.argv[1]), progress, 2, Limits())
    print("started", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


def user(run: str) -> subprocess.Popen[str]:
    return python(run, USER)


def python(run: str, *arguments: str, descriptors: Sequence[int] = ()) -> subprocess.Popen[str]:
    environment = os.environ | {RUN: run, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", *arguments], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=descriptors
    )


def test_a_server_outlives_who_started_it_and_ends_with_the_last_of_its_run():
    run = uuid.uuid4().hex
    with user(run) as starter:
        address = Path(starter.stdout.readline().strip())
        with user(run) as second:
            assert Path(second.stdout.readline().strip()) == address
            starter.communicate()
            assert address.is_socket()
            with user(run) as third:
                assert Path(third.stdout.readline().strip()) == address
                third.communicate()
            assert address.is_socket()
            second.communicate()

    async def gone() -> bool:
        return not address.parent.exists()

    asyncio.run(until(gone))


def test_what_was_forked_ends_with_the_run_also_when_that_is_killed():
    ours, theirs = socket.socketpair()
    with ours, theirs, python(uuid.uuid4().hex, OWNER, str(theirs.fileno()), descriptors=[theirs.fileno()]) as owner:
        assert owner.stdout.readline() == "started\n"
        theirs.close()
        owner.kill()
        ours.settimeout(SOON)
        with ours.makefile("rb") as said:
            said.read()  # to its end: nothing holds the other end any more
