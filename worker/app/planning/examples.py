"""Runs the examples of route files, and compares their results with what they expect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from worker.app.planning.planner import PlanInput, Planner, Route
from worker.config.automation import Runbook, Webhook
from worker.config.compiled import Example
from worker.config.routes import Publisher, Routes
from worker.core.answers import Answers
from worker.core.comparison import ABSENT, Mismatch, mismatches
from worker.core.errors import EvaluatorUnavailable
from worker.core.json_codec import encode
from worker.core.plan import Plan, PlanFailed, PlannedEvent, PlannedRequest
from worker.flows.local.delivery import LocalLedger
from worker.flows.local.following import RunNeverEnds

ENDS = ("skipped", "dead")
Planned = TypeVar("Planned", PlannedRequest, PlannedEvent)


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """The result of one example: it passed when nothing differs."""

    kind: str
    route: str
    example: Example
    plan: Plan | None
    differences: Sequence[Mismatch]

    @property
    def passed(self) -> bool:
        return not self.differences


def examples_of(routes: Routes) -> list[tuple[str, Route, Example]]:
    """Every example, with the kind of its route and the route."""
    kinds: dict[str, Mapping[str, Route]] = {
        "subscriber": routes.subscribers,
        "publisher": routes.publishers,
        "runbook": routes.runbooks,
        "webhook": routes.webhooks,
    }
    return [(kind, route, example) for kind, found in kinds.items() for route in found.values() for example in route.examples]


async def run_example(planner: Planner, kind: str, route: Route, example: Example) -> ExampleResult:
    """Run one example. Each example has its own claims and answers."""
    given = PlanInput(encode(example.given), example.headers, change=example.change)
    answers = Answers(example.answers, example.ids)
    planner.recorder.strict = isinstance(route, Runbook)
    try:
        plan = await planner.plan(route, given, LocalLedger(), answers)
    except (PlanFailed, EvaluatorUnavailable, RunNeverEnds) as error:
        return ExampleResult(kind, route.name, example, None, [Mismatch("result", "an end", str(error))])
    return ExampleResult(kind, route.name, example, plan, list(compared(example.expect, plan, strict=planner.recorder.strict)))


def compared(expect: Mapping[str, Any], plan: Plan, *, strict: bool) -> Iterator[Mismatch]:
    """Yield where the plan differs from `expect`. Members that `expect` does not name are not compared."""
    if strict:
        yield from (Mismatch(f"answers.{request}", "an answer", ABSENT) for request in dict.fromkeys(plan.unanswered))
    named_end = next((end for end in ENDS if end in expect), None)
    wanted = {"skipped": "skipped", "dead": f"dead: {expect.get('dead')}"}.get(named_end or "", "")
    if named_end is not None and outcome_text(plan) != wanted:
        yield Mismatch("result", wanted, outcome_text(plan, reason=True))
        return
    if named_end is None and plan.outcome in ENDS and not (plan.outcome == "skipped" and [] in (expect.get("requests"), expect.get("events"))):
        yield Mismatch("result", "event" if {"event", "events", "runbook", "wake"} & expect.keys() else "request", outcome_text(plan, reason=True))
        return
    if "reason" in expect and expect["reason"] not in plan.reason:
        yield Mismatch("reason", f"… {expect['reason']} …", plan.reason)
    yield from compared_members(expect, plan)


def compared_members(expect: Mapping[str, Any], plan: Plan) -> Iterator[Mismatch]:
    if "request" in expect:
        writes = [request for request in plan.requests if request.writes]
        if len(writes) == 1:
            yield from compared_request("request", expect["request"], writes[0])
        else:
            yield Mismatch("request", "one request", [request.line for request in writes])
    if "requests" in expect:
        yield from compared_lists("requests", expect["requests"], plan.requests, compared_request)
    if "event" in expect:
        yield from compared_event("event", expect["event"], plan.event)
    if "events" in expect:
        yield from compared_lists("events", expect["events"], plan.events, compared_event)
    if "runbook" in expect:
        yield from mismatches("runbook", expect["runbook"], plan.runbook or ABSENT)
    if "wake" in expect:
        yield from mismatches("wake", expect["wake"], ABSENT if plan.wake is None else plan.wake)


def compared_lists(
    name: str, wanted: Sequence[Any], found: Sequence[Planned], compare: Callable[[str, Any, Planned], Iterator[Mismatch]]
) -> Iterator[Mismatch]:
    for number in range(max(len(wanted), len(found))):
        place = f"{name}[{number}]"
        if number >= len(found):
            yield Mismatch(place, wanted[number], ABSENT)
        elif number >= len(wanted):
            yield Mismatch(place, ABSENT, line_of(found[number]))
        else:
            yield from compare(place, wanted[number], found[number])


def line_of(planned: PlannedRequest | PlannedEvent) -> Any:
    return planned.line if isinstance(planned, PlannedRequest) else planned.as_object()


def compared_request(place: str, wanted: Mapping[str, Any], request: PlannedRequest) -> Iterator[Mismatch]:
    found: dict[str, Any] = {"method": request.method, "path": request.path, "query": dict(request.query)}
    found["body"] = ABSENT if request.body is None else request.content
    for member, value in wanted.items():
        yield from mismatches(f"{place}.{member}", value, found[member])


def compared_event(place: str, wanted: Mapping[str, Any], event: PlannedEvent | None) -> Iterator[Mismatch]:
    if event is None:
        yield Mismatch(place, wanted, ABSENT)
        return
    found = event.as_object()
    for member, value in wanted.items():
        if member == "headers":
            for name, text in value.items():
                yield from mismatches(f"{place}.headers.{name}", text, found["headers"].get(name, ABSENT))
        else:
            yield from mismatches(f"{place}.{member}", value, found[member])


def outcome_text(plan: Plan, *, reason: bool = False) -> str:
    """Return the outcome of the input in a few words."""
    end = f"dead: {plan.dead_class}" if plan.outcome == "dead" else plan.outcome
    return f"{end} ({plan.reason})" if reason and plan.reason else end


def expectation_of(route: Route, plan: Plan) -> dict[str, Any]:
    """Return the `expect` of an example recorded from this plan."""
    if plan.outcome == "skipped" and not isinstance(route, Runbook):
        return {"skipped": True}
    if plan.outcome == "dead":
        return {"dead": plan.dead_class}
    if isinstance(route, Publisher) and len([request for request in plan.requests if request.writes]) == 1:
        return {"request": next(request.as_object() for request in plan.requests if request.writes)}
    if isinstance(route, (Publisher, Runbook)):
        requests = [{name: value for name, value in request.as_object().items() if name != "url"} for request in plan.requests]
        events = [{"exchange": event.exchange, "routing_key": event.routing_key, "body": event.body} for event in plan.events]
        return {"requests": requests} | ({"events": events} if events else {})
    expect: dict[str, Any] = {}
    if plan.event is not None:
        expect["event"] = {"routing_key": plan.event.routing_key, "body": plan.event.body}
    if isinstance(route, Webhook) and plan.runbook:
        expect["runbook"] = plan.runbook
    if plan.wake is not None:
        expect["wake"] = dict(plan.wake)
    return expect
