"""Prints plans for people: requests, events and differences, in colour on a terminal and plain in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from worker.core.exact_numbers import dumps
from worker.core.known_secrets import KnownSecrets
from worker.core.plan import MemberDifference, Plan, PlannedEvent, PlannedRequest

WIDE = 100  # characters; a longer body is written on several lines


def show_plan(console: Console, label: str, plan: Plan, secrets: KnownSecrets) -> None:
    """Print the plan of one input. `label`: its number."""
    for number, text in enumerate(plan_lines(plan, secrets)):
        console.print(Text.assemble((f"{label if number == 0 else '':4} ", "bold"), text), soft_wrap=True)


def plan_lines(plan: Plan, secrets: KnownSecrets) -> Iterator[Text]:
    """Yield the lines of one input: what is sent, then why nothing is sent."""
    for request in plan.requests:
        yield from request_lines(request, secrets)
    for event in (plan.event, *plan.events):
        yield from event_lines(event, secrets) if event is not None else ()
    if plan.runbook:
        yield Text(f"starts runbook {plan.runbook}", style="green")
    if plan.wake is not None:
        yield Text(f"wakes subscriber {plan.wake['subscriber']} for record {plan.wake['id']}", style="green")
    if plan.outcome == "skipped":
        yield Text(f"skipped: {plan.reason}", style="yellow")
    if plan.outcome == "dead":
        yield Text(f"dead letter, {plan.dead_class}: {secrets.hide(plan.reason)}", style="bold red")
    for line in plan.unanswered:
        yield Text(f"  not asked: {line}; it is taken to find nothing (--ask asks Halo)", style="yellow")
    for difference in plan.diff or ():
        yield from difference_lines(difference, secrets)
    if plan.diff is not None and not plan.diff and any(request.writes for request in plan.requests) and plan.asked:
        yield Text("  changes nothing: Halo has these values", style="dim")


def request_lines(request: PlannedRequest, secrets: KnownSecrets) -> Iterator[Text]:
    yield Text(secrets.hide(request.line), style="cyan" if request.asked or not request.writes else "green")
    if request.body is not None:
        yield from body_lines(request.content, secrets)


def event_lines(event: PlannedEvent, secrets: KnownSecrets) -> Iterator[Text]:
    where = f"exchange {event.exchange}, routing key" if event.exchange else "queue"
    yield Text(f"event to {where} {event.routing_key}", style="green")
    yield from (Text(f"  {name}: {secrets.hide(str(value))}", style="dim") for name, value in event.headers.items())
    yield from body_lines(event.body, secrets)


def show_event(console: Console, event: PlannedEvent, secrets: KnownSecrets) -> None:
    """Print a message that is not published, indented below its step."""
    for text in event_lines(event, secrets):
        console.print(Text.assemble("    ", text), soft_wrap=True)


def show_request(console: Console, request: PlannedRequest, secrets: KnownSecrets) -> None:
    """Print a request that is not sent, indented below its step."""
    for text in request_lines(request, secrets):
        console.print(Text.assemble("    ", text), soft_wrap=True)


def body_lines(body: Any, secrets: KnownSecrets) -> Iterator[Text]:
    """Yield short JSON on one line; a text that is no JSON as it is."""
    hidden = secrets.hide_in(body)
    if isinstance(hidden, str):
        yield from (Text(f"  {line}") for line in hidden.splitlines())
        return
    short = dumps(hidden).decode()
    text = short if len(short) <= WIDE else dumps(hidden, option=orjson.OPT_INDENT_2).decode()
    yield from (Text(f"  {line}") for line in text.splitlines())


def difference_lines(difference: MemberDifference, secrets: KnownSecrets) -> Iterator[Text]:
    """Yield a member of a record in Halo, before and after."""
    yield Text(f"  {difference.record} {difference.member}", style="bold")
    if not difference.absent:
        yield Text(f"    - {value_text(difference.now, secrets)}", style="red")
    yield Text(f"    + {value_text(difference.then, secrets)}", style="green")


def value_text(value: Any, secrets: KnownSecrets) -> str:
    return secrets.hide(dumps(value).decode())
