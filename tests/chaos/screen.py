"""What is seen while the chaos goes on: a line for each blow, and on a terminal one that tells how far it is."""

from __future__ import annotations

import sys
from typing import TextIO

CLEAR = "\r\x1b[K"


class Screen:
    """Called with a text it prints a line; `progress` stays below it, and is nothing where no terminal is."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._terminal = out.isatty()
        self._below = ""

    def __call__(self, text: str) -> None:
        self._write(f"{CLEAR}{text}\n{self._below}" if self._terminal else f"{text}\n")

    def progress(self, text: str) -> None:
        if self._terminal:
            self._below = text
            self._write(f"{CLEAR}{text}")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
