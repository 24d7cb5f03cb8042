"""Answers the five questions of an operator from the overview: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from worker.web.page.formatting import age, with_noun
from worker.web.page.model import LetterRow, Overview

NAMED = 3
REASONS = 2
MAX_REASON = 90  # characters of a reason
NO_CHANGE = "No change waits. A changed route file is taken over within 6 s; `halo-worker plan ROUTE FILE` shows its requests before."
UNDO = "Put the old file back. Resume what is paused. An edit keeps its original. A discard is final."


@dataclass(frozen=True, slots=True)
class StatusAnswer:
    """`state`: good, warn or bad. `links`: names of routes that the answer is about. `more`: how many others there are; `more_at`: the address of the list."""

    question: str
    state: str
    text: str
    details: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    more: int = 0
    more_at: str = ""


def answers_of(overview: Overview, letters: Sequence[LetterRow] = ()) -> list[StatusAnswer]:
    """Return the answers. `letters`: the known letters, for the reasons of failures."""
    return [running_answer(overview), late_answer(overview), failures_answer(overview, letters), change_answer(overview), undo_answer(overview)]


def running_answer(overview: Overview) -> StatusAnswer:
    replicas, routes = overview.found["replicas"], overview.found["routes"]
    states = Counter(route["state"] for route in routes)
    ready = sum(1 for each in replicas if each["ready"])
    down = [route["name"] for route in routes if route["state"] == "down"]
    clients = tuple(f"client {each['name']} is down: {each['reason'] or 'starting'}" for each in overview.found["clients"] if not each["up"])
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no routes"
    if not replicas:
        return StatusAnswer("Is it running?", "bad", "No. No replica reports itself.", clients, *route_links(down))
    if down or clients or not ready:
        text = f"In part. {with_noun(ready, 'replica')} of {len(replicas)} ready; routes: {counts}."
        return StatusAnswer("Is it running?", "bad", text, clients, *route_links(down))
    state = "warn" if ready < len(replicas) else "good"
    return StatusAnswer("Is it running?", state, f"Yes. {with_noun(ready, 'replica')} of {len(replicas)} ready; routes: {counts}.")


def late_answer(overview: Overview) -> StatusAnswer:
    behind = sorted((each for each in overview.found["routes"] if each["name"] in overview.late), key=waits, reverse=True)
    waiting = [each for each in overview.found["routes"] if each["state"] == "waiting"]
    if behind:
        text = f"Yes. {with_noun(len(behind), 'route')} late, the worst by {age(waits(behind[0]))}."
        return StatusAnswer("Is it late?", "bad", text, (), *route_links([each["name"] for each in behind]))
    if waiting:
        return StatusAnswer(
            "Is it late?", "warn", f"Not yet. {with_noun(len(waiting), 'route')} waiting.", (), *route_links([each["name"] for each in waiting])
        )
    worst = max(overview.found["routes"], key=waits, default=None)
    return StatusAnswer(
        "Is it late?", "good", "No." + (f" The longest wait or lag is {age(waits(worst))}, of {worst['name']}." if worst and waits(worst) else "")
    )


def waits(route: dict[str, float | None]) -> float:
    return max(route["oldest_s"] or 0.0, route["lag_s"] or 0.0)


def failures_answer(overview: Overview, letters: Sequence[LetterRow] = ()) -> StatusAnswer:
    holding = sorted((each for each in overview.found["routes"] if each["dead"]), key=lambda each: -each["dead"])
    count, unrouted = sum(each["dead"] for each in holding), overview.found["unrouted"]
    details = tuple(f"{why} ({number})" for why, number in Counter(map(why_of, letters)).most_common(REASONS))
    details += (f"{with_noun(unrouted, 'event')} that no queue took",) if unrouted else ()
    if count or unrouted:
        text = f"{with_noun(count, 'dead letter')} of {with_noun(len(holding), 'route')}." if count else "Events have no queue."
        return StatusAnswer("What failed, and why?", "bad", text, details, *route_links([each["name"] for each in holding]), more_at="/dead")
    return StatusAnswer("What failed, and why?", "good", "Nothing. There are no dead letters.")


def why_of(letter: LetterRow) -> str:
    reason = letter.reason if len(letter.reason) <= MAX_REASON else f"{letter.reason[:MAX_REASON]}…"
    return f"{letter.dead_class}: {reason}"


def change_answer(overview: Overview) -> StatusAnswer:
    problems = tuple(overview.found["problems"])
    if problems:
        return StatusAnswer("What will a change do?", "bad", "Route files have mistakes:", problems[:NAMED], (), len(problems[NAMED:]))
    return StatusAnswer("What will a change do?", "good", NO_CHANGE)


def undo_answer(overview: Overview) -> StatusAnswer:
    paused = [each["name"] for each in overview.found["routes"] if each["state"] == "paused"]
    if paused:
        return StatusAnswer("How do I undo it?", "warn", f"{with_noun(len(paused), 'route')} paused: open it and resume it. {UNDO}", (), *route_links(paused))
    return StatusAnswer("How do I undo it?", "good", UNDO)


def route_links(names: list[str]) -> tuple[tuple[str, ...], int]:
    return tuple(names[:NAMED]), len(names[NAMED:])
