"""The output of commands: rich on a terminal, plain lines of any length in a pipe; NO_COLOR is respected. Data cannot control the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import orjson
from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from worker.core.exact_numbers import fragment
from worker.core.printable import printable, printable_json

PIPE_WIDTH = 2000  # a pipe has no width: text for programs is neither wrapped nor cut


class SafeConsole(Console):
    """A console that replaces control characters in all output, in the last step before rich adds its own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


class SafeTable(Table):
    """A table that replaces control characters before rich measures the cells: rich counts them as width 0, and would cut the end of a cell."""

    def add_row(self, *renderables: RenderableType | None, style: StyleType | None = None, end_section: bool = False) -> None:
        super().add_row(*map(safe, renderables), style=style, end_section=end_section)


def safe(cell: RenderableType | None) -> RenderableType | None:
    if isinstance(cell, Text):
        cell = cell.copy()
        cell.plain = printable(cell.plain)
        return cell
    return printable(cell) if isinstance(cell, str) else cell


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


def table(console: Console, *columns: str) -> SafeTable:
    """Return a table with these headings: ruled on a terminal, aligned plain columns in a pipe. Cells wrap on a terminal only."""
    made = SafeTable(box=box.SIMPLE_HEAD if console.is_terminal else None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def fragment_or_text(value: Any) -> Any:
    """Return an exact number digit for digit, anything else as text."""
    try:
        return fragment(value)
    except TypeError:
        return str(value)


def write_json(value: Any, *, indent: bool = True) -> None:
    """Write JSON for programs to standard output, of any length."""
    text = orjson.dumps(value, default=fragment_or_text, option=orjson.OPT_INDENT_2 if indent else None).decode()
    sys.stdout.write(f"{printable_json(text)}\n")


def with_noun(count: int, name: str) -> str:
    """A number with its noun."""
    return f"{count} {name}{'' if count == 1 else 's'}"
