"""The page of the log events: every `noun.verb` that the code logs, with its levels, its fields and its meaning."""

from __future__ import annotations

import tomllib
from pathlib import Path

from docs.generator.log_calls import Logged, log_calls
from docs.generator.markdown import code, codes, page, table

TOP = Path(__file__).parents[2]
MEANINGS = Path(__file__).with_name("log_events.toml")
INTRO = """The worker writes one line for each event to standard error: JSON with `WORKER_LOG_FORMAT=json`, readable text with
`console`. Every line has `timestamp`, `level` and `event`. No line holds a secret or customer data; record ids are not
masked.

The worker adds these fields to each line that it writes during the work:

| field | during |
| --- | --- |
| `route` | the work on a message, a poll or a step |
| `correlation_id` | the work on a message: the same value is in the event, in the message and in `X-Correlation-Id` to Halo |
| `poll` | a poll |
| `run`, `step` | a step of a runbook |

An event that has several levels has the higher one when it needs a person."""
ORDER = ("debug", "info", "warning", "error", "critical")


def log_events_page() -> str:
    events, known = log_calls(TOP / "worker"), meanings()
    rows = [(code(event), levels(calls), fields(calls), known.get(event, "")) for event, calls in sorted(events.items())]
    return page("Log events", INTRO, "## Events", table(("event", "level", "fields", "meaning"), rows))


def meanings() -> dict[str, str]:
    """One sentence or two for each event, written by hand."""
    return {f"{noun}.{verb}": text for noun, verbs in tomllib.loads(MEANINGS.read_text("utf-8")).items() for verb, text in verbs.items()}


def without_meaning() -> tuple[set[str], set[str]]:
    """Events that have no sentence in `log_events.toml`, and sentences there about events that no code logs."""
    logged, known = set(log_calls(TOP / "worker")), set(meanings())
    return logged - known, known - logged


def levels(calls: list[Logged]) -> str:
    return ", ".join(sorted({call.level for call in calls}, key=ORDER.index))


def fields(calls: list[Logged]) -> str:
    return codes(dict.fromkeys(field for call in calls for field in call.fields))
