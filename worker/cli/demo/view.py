"""The output of the demo: live on a terminal, line by line in a pipe."""

from __future__ import annotations

from collections import deque
from io import StringIO
from typing import Self

import orjson
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from worker.cli.demo.steps import STEPS, DemoStep

SHOWN_LINES = 8
SHOWN_EVENTS = {
    *("event.published", "page.read", "poll.ended", "token.refreshed", "client.up"),
    *("message.done", "message.skipped", "message.retried", "message.dead"),
}
FIELDS = ("route", "change", "record", "routing_key", "page", "rows", "result", "status", "reason", "attempt")


class LogFeed(StringIO):
    """Takes the worker's log lines, and keeps the newest ones for display."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: deque[str] = deque(maxlen=SHOWN_LINES)

    def write(self, text: str) -> int:
        for line in filter(None, text.splitlines()):
            event = orjson.loads(line)
            if event.get("event") in SHOWN_EVENTS:
                details = " ".join(f"{name}={event[name]}" for name in FIELDS if event.get(name) not in (None, ""))
                self.lines.append(f"{event['event']:16} {details}")
        return len(text)


class DemoView:
    """The progress of the steps, and the newest log lines."""

    def __init__(self, console: Console, feed: LogFeed) -> None:
        self._console = console
        self._feed = feed
        self._progress: dict[DemoStep, tuple[int, int]] = {}
        self._done: dict[DemoStep, bool] = {}
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._console.print(self._steps())

    def update(self, step: DemoStep, progress: tuple[int, int]) -> None:
        self._progress[step] = progress
        if self._live is not None:
            self._live.update(
                Group(self._steps(), Text(), *(Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in self._feed.lines)), refresh=True
            )

    def ended(self, step: DemoStep, *, good: bool) -> None:
        self._done[step] = good
        self.update(step, self._progress[step])
        if self._live is None:
            arrived, wanted = self._progress[step]
            self._console.print(f"{'ok    ' if good else 'FAILED'} {arrived}/{wanted}  {step.title}")

    def _steps(self) -> Table:
        grid = Table.grid(padding=(0, 2))
        for step in STEPS:
            arrived, wanted = self._progress.get(step, (0, 1))
            mark = {True: Text("✔", "green"), False: Text("✘", "red"), None: Text("·", "dim")}[self._done.get(step)]
            started = step in self._progress
            grid.add_row(
                mark,
                Text(step.title, "" if started else "dim"),
                ProgressBar(wanted, min(arrived, wanted), width=24) if started else "",
                f"{arrived}/{wanted}" if started else "",
            )
        return grid
