"""Reads a code table from a CSV file, or reports the wrong lines. Errors never quote cells."""

from __future__ import annotations

import csv
import io
import re
import stat
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any, Final

from worker.core.errors import Problem

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_ROWS: Final = 20_000
MAX_PROBLEMS: Final = 10  # of one file
SEPARATORS: Final = ",;\t"
EXCEL: Final = re.compile(r'\s*"?sep=(?P<separator>.)"?[ \t;,]*(?:\r\n|\n|\r|\Z)', re.IGNORECASE)
"""A first line that tells Excel the separator; it is no header."""
WHOLE_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
TWO: Final = 2


class CsvTable:
    """The rows read so far, and the errors with their lines."""

    def __init__(self, name: str) -> None:
        self.rows: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self.lines: dict[str, int] = {}
        """The line of each row, by key."""
        self.columns: tuple[str, ...] = ()
        self._name = name

    def add_error(self, line: int, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(self._name, line, 0, message))

    def add_row(self, line: int, header: list[str], cells: list[str]) -> None:
        if len(cells) != len(header):
            self.add_error(line, f"the row has {with_noun(len(cells), 'cell')}, and the header {with_noun(len(header), 'column')}")
            return
        key = cells[0].strip()
        if not key:
            self.add_error(line, "the row has no key: its first cell is empty")
        elif key in self.lines:
            self.add_error(line, f"the key of this row is in line {self.lines[key]} already")
        elif len(header) == TWO and not cells[1].strip():
            self.add_error(line, "the row has no value: its second cell is empty")
        else:
            self.lines[key] = line
            values = {column: cell_value(cell) for column, cell in zip(header[1:], cells[1:], strict=True) if cell.strip()}
            self.rows[key] = values if len(header) > TWO else values[header[1]]


def read_csv_table(path: Path, name: str) -> CsvTable:
    """Return the rows by key. With two columns a value is the second cell; with more it is an object by header, without empty cells. Raises `OSError`.

    After errors there are no rows.
    """
    table = CsvTable(name)
    if not stat.S_ISREG(path.stat().st_mode):
        table.add_error(0, "it is not a file: a directory, pipe or device cannot be a table")
        return table
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        table.add_error(0, f"the file has more than {MAX_BYTES:,} bytes, the most that a table may have")
    elif content.startswith(UTF_16):
        table.add_error(1, "the file is UTF-16: save it as UTF-8 (in Excel: CSV UTF-8)")
    else:
        try:
            read_rows(content.decode("utf-8-sig"), table)
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            table.add_error(line, "the line is not UTF-8 text: save the file as UTF-8 (in Excel: CSV UTF-8)")
        except csv.Error as error:
            table.add_error(0, f"the file is not CSV: {error}")
    if table.problems:
        table.rows = {}
    return table


def read_rows(text: str, table: CsvTable) -> None:
    """Raises `csv.Error`."""
    directive = EXCEL.match(text)
    if directive is not None and directive["separator"] not in SEPARATORS:
        table.add_error(1, "the line `sep=` names a separator that is none of comma, semicolon and tab")
        return
    first = 0 if directive is None else text.count("\n", 0, directive.end())
    body = text if directive is None else "\n" * first + text[directive.end() :]
    separator = separator_of(text) if directive is None else directive["separator"]
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=separator, strict=True)
    header: list[str] = []
    for cells in reader:
        if not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            table.columns = tuple(header)
            if problem := header_problem(header):
                table.add_error(reader.line_num, problem)
                return
        elif len(table.rows) == MAX_ROWS:
            table.add_error(reader.line_num, f"the file has more than {MAX_ROWS:,} rows, the most that a table may have")
            return
        else:
            table.add_row(reader.line_num, header, cells)
    if not header:
        table.add_error(0, "the file is empty: it needs a header and rows")
    elif not table.rows and not table.problems:
        table.add_error(0, "the file has a header but no rows")


def separator_of(text: str) -> str:
    """Return the comma, or the separator that is more frequent in the header: programs in some languages write semicolons."""
    header = text.lstrip("\r\n").partition("\n")[0]
    return max(SEPARATORS, key=header.count)


def header_problem(header: list[str]) -> str | None:
    if len(header) < TWO:
        return "the header has one column: a table needs a key and at least one value"
    if not all(header):
        return f"the header has no name for column {header.index('') + 1}"
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        return f"the header names the column `{twice[0]}` twice"
    seen: dict[str, str] = {}
    near = next(((seen[seen_as(name)], name) for name in header if seen.setdefault(seen_as(name), name) != name), None)
    return f"the columns `{near[0]}` and `{near[1]}` differ only by case or space" if near else None


def cell_value(cell: str) -> Any:
    """Return the value of a cell: a whole number without leading zeros is a number; everything else is text."""
    text = cell.strip()
    return int(text) if WHOLE_NUMBER.fullmatch(text) else text


def with_noun(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def seen_as(name: str) -> str:
    """Return a key or a column without case, space and invisible characters."""
    shown = "".join(unicodedata.normalize("NFKC", name).split()).casefold()
    return "".join(each for each in shown if unicodedata.category(each) != "Cf")
