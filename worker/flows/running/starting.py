"""The starts of runbooks: by a queue, and by a step of another run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from worker.config.automation import Runbook, Step
from worker.config.control_steps import MAX_STARTS, SubRunbook
from worker.config.run_values import Values
from worker.core.delivery_state import DeliveryState
from worker.core.errors import Undecodable
from worker.core.message import Delivery
from worker.core.outcome import Continue, DeadClass, Outcome, Refused
from worker.core.ports import Clock, Evaluator
from worker.core.topology import Queue, Topology, browsable_queue, event_exchange, lanes_queue, work_topology
from worker.flows.consuming.consumer import Consumption
from worker.flows.running.endings import waiting_caller
from worker.flows.running.run_message import Run, iso, run_id_of, run_queue, start_message, started_by
from worker.flows.running.variables import with_variables
from worker.threads import read_body

START_DELAYS = (10.0, 60.0, 600.0)


def runbook_topology(runbook: Runbook) -> Topology:
    """Return the queue of the runbook's steps, its starting queue, the queue where its lanes meet, and the exchanges to which it publishes.

    A runbook may lack the starting queue and the queue of lanes.
    """
    parallel = any(step.each is not None and step.each.parallel > 1 for step in runbook.steps.values())
    meeting: tuple[Queue, ...] = (browsable_queue(lanes_queue(runbook.name)),) if parallel else ()
    own = work_topology(run_queue(runbook.name), runbook.delays) + Topology(tuple(map(event_exchange, runbook.outlets)), meeting)
    return own if runbook.queue is None else own + work_topology(runbook.queue, START_DELAYS, runbook.bind)


def step_consumption(runbook: Runbook) -> Consumption:
    return Consumption(runbook.name, run_queue(runbook.name), runbook.concurrency, runbook.delays, f"runbook {runbook.name}")


def start_consumption(runbook: Runbook, queue: str) -> Consumption:
    return Consumption(runbook.name, queue, runbook.concurrency, START_DELAYS, f"runbook {runbook.name} (starts)")


def with_started(runbooks: Iterable[Runbook], known: Mapping[str, Runbook]) -> list[Runbook]:
    """Return these runbooks, and all runbooks that their steps start."""
    found: dict[str, Runbook] = {}
    waiting = list(runbooks)
    while waiting:
        runbook = waiting.pop(0)
        if runbook.name not in found:
            found[runbook.name] = runbook
            waiting += [known[step.start.runbook] for step in runbook.steps.values() if step.start is not None and step.start.runbook in known]
    return list(found.values())


class Starter:
    """The handler of the queue that starts a runbook: any JSON becomes the starting payload of a run."""

    def __init__(self, runbook: Runbook, clock: Clock) -> None:
        self._runbook = runbook
        self._clock = clock

    async def handle(self, delivery: Delivery, _: DeliveryState) -> Outcome:
        run_id, now = started_by(delivery), self._clock.now()
        try:
            message = await read_body(delivery.message, then=lambda request: start_message(self._runbook.name, run_id, request, now))
        except Undecodable as error:
            return Refused(DeadClass.DECODE, str(error))
        return Continue(message, run_queue(self._runbook.name), f"run {run_id}")


def starting_values(runbook: Runbook, run: Run) -> Values:
    """Return the variables of a run that begins: the values that a step gave it, and the others from its payload."""
    given = frozenset(name for name in run.variables if name in runbook.input and runbook.input[name].plain)
    paths = {name: path for name, path in runbook.input.items() if name not in run.variables}
    return with_variables(replace(run.values(), plain=given), paths, {"request": run.request})


async def sub_run(started: SubRunbook, run: Run, step: Step, values: Values, evaluator: Evaluator, clock: Clock) -> Run | Refused:
    """Return the run that a step starts. It has callers only if the step waits for its end. Raises `ExpressionError`, `EvaluatorUnavailable`."""
    if max(run.depth, len(run.callers)) >= MAX_STARTS:
        return Refused(DeadClass.FAILED, f"{MAX_STARTS} runs are below each other, which is the limit: runbooks that start each other need an end")
    given = await started.input.fill(values, evaluator) if started.input is not None else {}
    callers = (*run.callers, waiting_caller(await run.with_values(values).at_rest(), step)) if started.waits else ()
    child = run_id_of(f"start {run.id}", str(run.visit))
    return Run(child, started.runbook, variables=given, request=given, started=iso(clock.now()), depth=run.depth + 1, callers=callers)
