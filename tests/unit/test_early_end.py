"""The process can be asked to end before it has begun."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ASKED_WHILE_IT_LOADS = """
import os, signal, sys
import worker.__main__

class Ask:
    def find_spec(self, name, *_):
        if name == "worker.cli.main":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Ask())
sys.argv = ["halo-worker", "version"]
worker.__main__.main()
"""


def test_a_process_that_is_asked_to_end_while_it_still_loads_ends_by_itself_and_not_by_the_signal():
    done = subprocess.run([sys.executable, "-c", ASKED_WHILE_IT_LOADS], capture_output=True, text=True, check=False, timeout=60, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stdout, done.stderr) == (128 + 15, "", "")
