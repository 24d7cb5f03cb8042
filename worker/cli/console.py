"""Where commands print: rich on a terminal, plain lines of any length in a pipe; NO_COLOR is respected. Nothing that data holds steers the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import orjson
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from worker.core.printable import printable, printable_json

PIPE_WIDTH = 2000  # a pipe has no width: nothing that a program reads is wrapped or cut


class SafeConsole(Console):
    """Whatever is printed on it has its control characters replaced, in the last step before rich adds its own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def output() -> Console:
    """Standard output."""
    return _console(stderr=False)


def errors() -> Console:
    """Standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = SafeConsole(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def table(console: Console, *columns: str) -> Table:
    """A table with these headings: ruled on a terminal, aligned plain columns in a pipe. Cells wrap on a terminal only."""
    made = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def write_json(value: Any, *, indent: bool = True) -> None:
    """JSON for programs, on standard output, of any length."""
    text = orjson.dumps(value, default=str, option=orjson.OPT_INDENT_2 if indent else None).decode()
    sys.stdout.write(f"{printable_json(text)}\n")
