"""The server that commands and expressions are forked from serves all processes of a run, and ends with the last of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path

from tests.tools.prefork import ROOT, RUN
from tests.tools.waiting import until

USER = "import sys; from tests.tools.prefork import server; print(server('evaluator'), flush=True); sys.stdin.read()"


def user(run: str) -> subprocess.Popen[str]:
    environment = os.environ | {RUN: run, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", USER], cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


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
