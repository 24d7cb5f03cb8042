"""Where commands print: rich on a terminal, plain lines of any length in a pipe; NO_COLOR is respected."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 2000  # a pipe has no width: nothing that a program reads is wrapped or cut


def output() -> Console:
    """Standard output."""
    return _console(stderr=False)


def errors() -> Console:
    """Standard error."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def table(console: Console, *columns: str) -> Table:
    """A table with these headings: ruled on a terminal, aligned plain columns in a pipe. Cells wrap on a terminal only."""
    made = Table(box=box.SIMPLE_HEAD if console.is_terminal else None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
