"""The cookbook's import of a CSV file: what `plan` says of its rows, and the script that sends them."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.tools.commands import run_command
from tests.tools.documents import saved
from tests.tools.job import OtherSystem

PAGE = "docs/cookbook/records.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "routes").mkdir()
    for name, text in saved(PAGE).items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


async def script(folder: Path, *more: str) -> bytes:
    running = await asyncio.create_subprocess_exec(sys.executable, "send_csv.py", "assets.csv", *more, cwd=folder, stdout=asyncio.subprocess.PIPE)
    out, _ = await running.communicate()
    assert running.returncode == 0
    return out


async def test_two_rows_are_for_halo_and_the_third_is_a_dead_letter(folder):
    planned = await run_command(folder, "plan", "asset-import", "-", stdin=await script(folder))
    assert planned.code == 1
    assert planned.out.splitlines()[-1] == "3 inputs: 2 for Halo, 1 dead-lettered; nothing was sent"


async def test_each_row_becomes_a_persistent_message_and_a_queue_that_is_not_there_is_an_error(folder, other: OtherSystem, amqp_url):
    await other.declare("import.assets")
    await script(folder, amqp_url, "import.assets")
    letters = await other.drain("import.assets")
    assert [(letter.message.message_id, letter.body["Serial"]) for letter in letters] == [("line-2", "A1"), ("line-3", "A2"), ("line-4", "A3")]
    with pytest.raises(AssertionError):
        await script(folder, amqp_url, "import.nowhere")
