"""`halo-worker start`: runs a runbook once in this process, without a broker, and follows it to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes
from typing import Any
from uuid import uuid4

from rich.console import Console

from worker.app.clients import open_performer
from worker.cli.console import output, write_json
from worker.cli.inputs import read_inputs
from worker.cli.runbook import find_runbook
from worker.config.automation import Runbook
from worker.config.loader import load_routes
from worker.core.bodies import read_json
from worker.core.clock import SystemClock
from worker.core.delivery_state import DeliveryState
from worker.core.errors import Undecodable
from worker.core.header_codec import HeaderCodec
from worker.core.ledger import Claim, Key
from worker.core.message import Delivery, Message, Unread
from worker.core.outcome import Outcome
from worker.core.printable import printable
from worker.core.settlement import Ack, Bury, Forward, Retry, Settlement
from worker.evaluator.evaluators import open_evaluator
from worker.evaluator.limits import Limits
from worker.flows.consuming.copies import retried
from worker.flows.consuming.memory import Memory, Receipts
from worker.flows.consuming.runner import DeliveryRunner, InFlight
from worker.flows.lookups.evaluator import LookupEvaluator
from worker.flows.running.run_message import Run, run_queue
from worker.flows.running.runbook import RunbookFlow
from worker.flows.running.variables import taken
from worker.logs import configure
from worker.metrics import Metrics
from worker.settings import load_settings
from worker.state.keys import KEY_BYTES

GOOD, FAILED = 0, 1


@dataclass(frozen=True)
class LocalDelivery:
    """A message of this process alone; implements `Delivery`."""

    message: Message
    queue: str
    exchange: str = ""
    redelivered: bool = False
    offset: int | None = None
    unread: Unread | None = None

    @property
    def routing_key(self) -> str:
        return self.queue

    async def ack(self) -> None:
        """Do nothing: no broker holds the message."""

    async def reject(self) -> None:
        """As `ack`."""

    async def give_back(self) -> None:
        """As `ack`."""


class LocalLedger:
    """The claims of one process: each one is won."""

    async def claim(self, key: Key, owner: str) -> Claim:  # noqa: ARG002 - there is no other owner
        return Claim.WON

    async def knows(self, key: Key, *, within: float = 0.0) -> bool:  # noqa: ARG002 - as above
        return False


@dataclass
class LocalJob:
    """Implements `Job` for one step of a run that no broker carries. `settlement`: how it ended."""

    flow: RunbookFlow
    delivery: Delivery
    state: DeliveryState
    delays: tuple[float, ...]
    settlement: Settlement = field(default_factory=Ack, init=False)
    session: int = 0
    may_adopt: bool = False

    @property
    def key(self) -> Hashable:
        return id(self)

    async def handle(self) -> Outcome:
        return await self.flow.handle(self.delivery, self.state)

    async def due(self, settlement: Settlement) -> Settlement:
        return settlement

    async def place(self, outcome: Outcome, settlement: Settlement) -> Settlement:  # noqa: ARG002 - `followed` makes the next message
        self.settlement = settlement
        return settlement

    async def ack(self) -> None:
        """There is no queue to take it off."""

    def ended(self, settlement: Settlement | None, *, lost: bool) -> bool:  # noqa: ARG002 - it never comes again
        return False


def start(name: str, inputs: Sequence[str], payload: Path | None, environment: Mapping[str, str], *, as_json: bool) -> int:
    """Run the runbook. 0 when the run is done, 1 when it failed. Raises `ConfigError`, `NoSuchRunbook`, `WrongInput`."""
    settings = load_settings(environment)
    configure(settings.log_level if settings.log_level == "debug" else "error", settings.log_format)
    routes = load_routes(settings.routes, environment, settings.secrets)
    configure(settings.log_level if settings.log_level == "debug" else "error", settings.log_format, hide=routes.secrets.hide)
    runbook = find_runbook(routes.runbooks, name)
    run = first_run(runbook, inputs, payload)
    console = Console(quiet=True) if as_json else output()

    async def follow() -> dict[str, Any]:
        async with (
            open_evaluator(Limits(settings.expression_memory)) as evaluator,
            open_performer(routes, settings, runbook, evaluator, SystemClock()) as performer,
        ):
            flow = RunbookFlow(runbook, performer, LocalLedger(), LookupEvaluator(evaluator, routes.tables), SystemClock(), routes.filled.hide)
            return await followed(run, runbook, flow, console)

    result = routes.filled.hide_in(asyncio.run(follow()))
    if as_json:
        write_json(result, indent=False)
    return GOOD if result["result"] == "done" else FAILED


def first_run(runbook: Runbook, inputs: Sequence[str], payload: Path | None) -> Run:
    """Return the run at its first step. Its variables come from the starting payload; inputs override them."""
    given = read_inputs(inputs, runbook.input)
    run = Run(uuid4().hex, runbook.name, started=datetime.now(UTC).isoformat())
    if payload is not None:
        try:
            run = replace(run, request=read_json(payload.read_bytes()))
        except OSError as error:
            raise Undecodable(f"{payload} cannot be read: {error.strerror}") from None
    values = taken(run.values(), runbook.input, {"request": run.request}) if payload is not None else run.values()
    plain = values.plain | {name for name in given if name in runbook.input and runbook.input[name].plain}
    return run.next(runbook.first, replace(values, variables=dict(values.variables) | given, plain=plain))


async def followed(run: Run, runbook: Runbook, flow: RunbookFlow, console: Console) -> dict[str, Any]:
    """Take step after step until the run ends, and print a line for each."""
    clock, queue, codec, metrics, ledger = SystemClock(), run_queue(runbook.name), HeaderCodec(token_bytes(KEY_BYTES)), Metrics(), LocalLedger()
    delivery: Delivery = LocalDelivery(run.message(), queue)
    steps: list[dict[str, Any]] = []

    def tell(outcome: Outcome, settlement: Settlement, _: DeliveryState, seconds: float) -> None:
        step = {"step": str(Run.read(delivery.message.body).step), "ms": round(seconds * 1000), **told(settlement, outcome)}
        steps.append(step)
        console.print(line(step), soft_wrap=True)

    runner = DeliveryRunner(runbook.name, ledger, Memory(Receipts(ledger), metrics), clock, metrics.in_hand.labels(runbook.name), InFlight(), tell)
    while True:
        job = LocalJob(flow, delivery, codec.read(delivery), runbook.delays)
        await runner.own(job)
        match job.settlement:
            case Forward(message, _):
                delivery = LocalDelivery(message, queue)
            case Retry():
                await clock.sleep(pause_before(job.settlement))
                delivery = LocalDelivery(codec.copy(delivery.message, queue, retried(job.state, job.settlement)), queue)
            case Ack():
                return {"run": run.id, "result": "done", "steps": steps}
            case Bury(dead_class, reason):
                return {"run": run.id, "result": dead_class.value, "reason": reason, "steps": steps}


def pause_before(retry: Retry) -> float:
    """Seconds until the retry of a step."""
    return retry.delay or retry.hold or 1.0


def told(settlement: Settlement, outcome: object) -> dict[str, Any]:
    """Return the settlement of a step, as members of its line."""
    status = getattr(outcome, "status", None)
    found: dict[str, Any] = {} if status is None else {"status": status}
    match settlement:
        case Forward():
            return found | {"then": str(getattr(outcome, "detail", ""))}
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
