"""The runs of a runbook, read from the trace: the current step of each run, and the way that it took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from worker.core.outcome import ARROW
from worker.flows.story import matching
from worker.web.page.model import RunView

MAX_RUNS = 200
ENDS = {"done": "done", "skipped": "done", "dead": "dead", "discarded": "discarded"}


@dataclass(slots=True)
class RunSummary:
    """One run. `ended`: empty while the run continues."""

    step: str = ""
    at: float = 0.0
    ended: str = ""
    ways: list[str] = field(default_factory=list)


def runs_of(batches: Sequence[bytes], runbook: str) -> list[RunView]:
    """Return the runs, newest first, at most `MAX_RUNS`. When a copy of a run was skipped, the list shows what the first message did."""
    found: dict[str, RunSummary] = {}
    for _, note in sorted(matching(batches, [runbook], lambda each: each["r"] == runbook and bool(each.get("c"))), key=lambda each: each[1]["t"]):
        take(found.setdefault(note["c"], RunSummary()), note)
    seen = [RunView(name, run.ended or "waiting", run.step, run.at, tuple(run.ways)) for name, run in found.items() if run.ways]
    return sorted(seen, key=lambda each: each.at, reverse=True)[:MAX_RUNS]


def take(run: RunSummary, note: Mapping[str, Any]) -> None:
    event = note["e"]
    if event == "passed" and note.get("way"):
        run.step, run.ended = note["way"].rpartition(ARROW)[2].partition(", element")[0], ""
        run.ways.append(note["way"])
    elif event == "replayed":
        run.ended = ""
    elif event in ENDS and (event != "skipped" or not run.ways):
        run.ended = ENDS[event]
    else:
        return
    run.at = note["t"]
