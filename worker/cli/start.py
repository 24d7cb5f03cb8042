"""`halo-worker start`: runs a runbook once in this process, without a broker, and follows it to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console
from rich.text import Text

from worker.app.local_runs import open_follower
from worker.cli.console import errors, output, write_json
from worker.cli.inputs import WrongInput, read_inputs
from worker.cli.plan_view import show_event, show_request
from worker.cli.runbook import find_runbook
from worker.cli.valid_definitions import load_routes_with_warning
from worker.config.automation import Runbook
from worker.config.examples import REQUEST_LINE
from worker.config.routes import Routes
from worker.core.answers import Answers, CannedAnswer
from worker.core.bodies import read_json
from worker.core.durations import format_duration
from worker.core.errors import Undecodable
from worker.core.outcome import Outcome
from worker.core.printable import printable
from worker.core.settlement import Ack, Bury, Forward, Retry, Settlement
from worker.core.suggest import choices
from worker.flows.local.broker import EventRecorder
from worker.flows.local.following import RunFollower, pause_before
from worker.flows.running.run_message import Run
from worker.flows.running.starting import with_started
from worker.flows.running.variables import with_variables
from worker.halo.interception import RequestRecorder
from worker.logs import configure
from worker.settings import Settings, load_settings

GOOD, FAILED = 0, 1
ANSWER = "--answer"


@dataclass(frozen=True, slots=True)
class StartOptions:
    """`limit`: seconds for the whole run. `answers`: the answers to requests that a dry run does not send, by method or request line."""

    limit: float
    dry_run: bool = False
    answers: Sequence[str] = ()
    as_json: bool = False


def start(name: str, inputs: Sequence[str], payload: Path | None, environment: Mapping[str, str], options: StartOptions) -> int:
    """Run the runbook. Return 0 when the run is done, 1 when it failed or did not end in time. Raises `ConfigError`, `NoSuchRunbook`, `WrongInput`."""
    settings = load_settings(environment)
    configure(settings.log_level if settings.log_level == "debug" else "error", settings.log_format)
    routes = load_routes_with_warning(name, settings, environment)
    configure(settings.log_level if settings.log_level == "debug" else "error", settings.log_format, hide=routes.secrets.hide)
    runbook = find_runbook(routes.runbooks, name)
    run = first_run(runbook, inputs, payload)
    recorder = dry_recorder(options, runbook, routes.runbooks) if options.dry_run else None
    if options.answers and recorder is None:
        raise WrongInput("it is for `--dry-run`: without it the methods themselves answer", ANSWER)
    printer = StepPrinter(Console(quiet=True) if options.as_json else output(), routes, recorder, None if recorder is None else EventRecorder())
    result = routes.filled.hide_in(asyncio.run(follow_run(run, runbook, routes, settings, printer, options.limit)))
    if options.as_json:
        write_json(result, indent=False)
    elif result["result"] == "timeout":
        errors().print(result["reason"], soft_wrap=True)
    elif recorder is not None:
        publishes = any(each.outlets for each in with_started([runbook], routes.runbooks))
        printer.console.print("dry run: no write was sent" + (" and no message published" if publishes else ""), soft_wrap=True)
    return GOOD if result["result"] == "done" else FAILED


def dry_recorder(options: StartOptions, runbook: Runbook, runbooks: Mapping[str, Runbook]) -> RequestRecorder:
    """Return the recorder of a dry run: it sends reads, and gives writes the given answers. Raises `WrongInput`."""
    steps = [step for each in with_started([runbook], runbooks) for step in each.steps.values()]
    methods = sorted({step.method.full_name for step in steps if step.method is not None})
    given: dict[str, list[CannedAnswer]] = {}
    for text in options.answers:
        name, separator, value = (part.strip() for part in text.partition(":="))
        if not separator:
            raise WrongInput(f"an answer is METHOD:=JSON, such as 'openai.completions:={{}}', not {name[:40]!r}", ANSWER)
        if name not in methods and not REQUEST_LINE.fullmatch(name):
            near = choices(name, methods, none="the runbook calls no method")
            raise WrongInput(f"{name[:40]!r} answers nothing: write a request line such as `POST /Actions`, or a method that the runbook calls{near}", ANSWER)
        try:
            given.setdefault(name, []).append(CannedAnswer(body=read_json(value.encode("utf-8", "surrogateescape"))))
        except Undecodable as error:
            raise WrongInput(f"the answer of {name}: {error}", ANSWER) from None
    return RequestRecorder(reads=True, answers=Answers(given))


def first_run(runbook: Runbook, inputs: Sequence[str], payload: Path | None) -> Run:
    """Return the run at its first step. Its variables come from the starting payload; inputs override them."""
    given = read_inputs(inputs, runbook.input)
    run = Run(uuid4().hex, runbook.name, started=datetime.now(UTC).isoformat())
    if payload is not None:
        try:
            run = replace(run, request=read_json(payload.read_bytes()))
        except OSError as error:
            raise Undecodable(f"{payload} cannot be read: {error.strerror}") from None
    values = with_variables(run.values(), runbook.input, {"request": run.request}) if payload is not None else run.values()
    plain = values.plain | {name for name in given if name in runbook.input and runbook.input[name].plain}
    return run.next(runbook.first, replace(values, variables=dict(values.variables) | given, plain=plain))


@dataclass
class StepPrinter:
    """Prints each step, and collects the output of `--json`."""

    console: Console
    routes: Routes
    recorder: RequestRecorder | None = None
    events: EventRecorder | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    _same: int = 0

    def step(self, name: str, outcome: Outcome, settlement: Settlement, seconds: float) -> None:
        """Print a step. A step that fails again for the same reason appears at growing intervals, and is one step of the result."""
        step = {"step": name, "ms": round(seconds * 1000), **settlement_members(settlement, outcome)}
        if self.recorder is None and isinstance(settlement, Retry) and self.steps and without_times(self.steps[-1]) == without_times(step):
            self._same += 1
            self.steps[-1]["times"] = self._same + 1
            if is_power_of_two(self._same):
                self.console.print(f"{line(step)}, {self._same + 1} times so far", soft_wrap=True)
            return
        self._same = 0
        self.console.print(line(step), soft_wrap=True)
        if self.recorder is not None and self.recorder.requests:
            held = [request for request in self.recorder.requests if not request.asked]
            for request in held:
                show_request(self.console, request, self.routes.secrets)
            for key in dict.fromkeys(self.recorder.unanswered):
                self.console.print(
                    Text(f"    not sent; its answer is taken as an empty 200: --answer '{key}:=JSON' gives another", style="yellow"), soft_wrap=True
                )
            step["not_sent"] = [request.as_object() for request in held]
            self.recorder.requests, self.recorder.unanswered = [], []
        if self.events is not None and self.events.events:
            for event in self.events.events:
                show_event(self.console, event, self.routes.secrets)
            step["not_published"] = [event.as_object() for event in self.events.events]
            self.events.events = []
        self.steps.append(step)


async def follow_run(run: Run, runbook: Runbook, routes: Routes, settings: Settings, printer: StepPrinter, limit: float) -> dict[str, Any]:
    """Return the end of the run with its steps; `timeout` when the run does not end in time."""
    follower: RunFollower | None = None
    try:
        async with asyncio.timeout(limit), open_follower(routes, settings, runbook, printer.step, printer.recorder, printer.events) as follower:
            end = await follower.follow(run)
    except TimeoutError:
        waited = "the expression engine" if follower is None else follower.waits_for
        reason = f"the run did not end within {format_duration(limit)}: it waited for {waited}"
        return {"run": run.id, "result": "timeout", "reason": reason, "steps": printer.steps}
    if isinstance(end, Bury):
        return {"run": run.id, "result": end.dead_class.value, "reason": end.reason, "steps": printer.steps}
    return {"run": run.id, "result": "done", "steps": printer.steps}


def without_times(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a step that stays the same when the step fails again."""
    return {member: value for member, value in step.items() if member not in {"ms", "times", "not_sent", "not_published"}}


def is_power_of_two(count: int) -> bool:
    return count & (count - 1) == 0


def settlement_members(settlement: Settlement, outcome: object) -> dict[str, Any]:
    """Return the settlement of a step, as members of its line."""
    status = getattr(outcome, "status", None)
    found: dict[str, Any] = {} if status is None else {"status": status}
    match settlement:
        case Forward(delay=delay):
            then = str(getattr(outcome, "detail", ""))
            return found | {"then": f"{then}, in {format_duration(delay)}" if delay else then}
        case Retry(reason=reason):
            return found | {"then": f"tried again in {pause_before(settlement):g} s", "reason": reason}
        case Bury(dead_class, reason):
            return found | {"then": f"the run ends: {dead_class.value}", "reason": reason}
        case Ack():
            return found | {"then": "the run is done"}


def line(step: Mapping[str, Any]) -> str:
    status = f" {step['status']}" if "status" in step else ""
    reason = f" ({step['reason']})" if "reason" in step else ""
    return f"{step['step']:20} {step['ms']:6} ms{status}  {printable(step['then'] + reason, lines=False)}"
