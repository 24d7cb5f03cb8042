"""Advances an iteration: the end of each element is one message, from which the next element begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from worker.config.automation import Runbook, Step
from worker.config.control_steps import MAX_STARTS, ForEach
from worker.config.run_values import Values
from worker.core.errors import ExpressionError
from worker.core.lanes import LanePart, RunBroker
from worker.core.ledger import Ledger, visit_key
from worker.core.message import Message
from worker.core.outcome import ARROW, Continue, DeadClass, Done, Outcome, Refused, Skipped
from worker.core.ports import Evaluator
from worker.core.topology import lanes_queue
from worker.flows.running.elements import ElementList
from worker.flows.running.endings import iterating_run, waiting_caller
from worker.flows.running.iteration import Iteration, RunFailure, lane_items, merge_lanes
from worker.flows.running.run_message import ChildResult, Run, run_queue
from worker.threads import in_thread_if_large


@dataclass(frozen=True, slots=True)
class IterationDone:
    """All elements are done, and the run goes on with these values."""

    run: Run
    values: Values


@dataclass(frozen=True, slots=True)
class ElementFailed:
    """An element failed, and with it the step."""

    run: Run
    failure: RunFailure
    index: int


Progress = Outcome | IterationDone | ElementFailed


class Iterator:
    """The iterations of one runbook."""

    def __init__(self, runbook: Runbook, ledger: Ledger, broker: RunBroker, evaluator: Evaluator) -> None:
        self._queue = run_queue(runbook.name)
        self._meeting = lanes_queue(runbook.name)
        self._ledger = ledger
        self._broker = broker
        self._evaluator = evaluator

    async def progress(self, run: Run, step: Step, each: ForEach) -> Progress:
        """Begin the iteration, or take the result of the element that has ended.

        Raises `ExpressionError`, `EvaluatorUnavailable`, `Undecodable`, `BrokerError`.
        """
        if run.each is None:
            return await self._begin(run, step, each)
        iteration = run.each
        if iteration.lanes > 1 and await self._ledger.knows(visit_key(iteration.origin, iteration.visit + 1)):
            return Skipped("another lane has ended the iteration")
        if run.returned is not None:
            results, failure = await self._result(run, each, run.returned)
            if failure is not None and not each.failures:
                return ElementFailed(iterating_run(run), failure, iteration.index)
            size = 0 if failure is None else iteration.items.bytes
            iteration = await in_thread_if_large(size, partial(iteration.advanced, results, failure))
            run = replace(run, each=iteration, returned=None)
        if not iteration.over:
            return await self._element(run, step, each, iteration)
        return await self._join(run, iteration) if iteration.lanes > 1 else self._finish(run, each, iteration)

    async def _begin(self, run: Run, step: Step, each: ForEach) -> Progress:
        if len(run.callers) >= MAX_STARTS:
            return Refused(DeadClass.FAILED, f"{MAX_STARTS} runs are below each other, which is the limit")
        items = elements_of(await each.items.fill(run.values(), self._evaluator), each)
        results: Mapping[str, list[Any]] = {name: [] for name in each.results}
        lanes = min(each.parallel, len(items))
        if lanes <= 1:
            begun = Iteration(await ElementList.paced(items), results=results)
            run = replace(run, each=begun)
            return self._finish(run, each, begun) if begun.over else await self._element(run, step, each, begun)
        run = await run.at_rest()
        first, *others = [self._lane(run, lane, lanes, part, results) for lane, part in enumerate(await lane_items(items, lanes))]
        for lane in others:  # a copy of this step publishes them again: the claims of their first visits identify the copies
            await self._broker.publish(lane, routing_key=self._queue)
        return Continue(first, self._queue, f"{step.name}: {len(items)} elements in {lanes} lanes")

    def _lane(self, run: Run, lane: int, lanes: int, items: ElementList, results: Mapping[str, list[Any]]) -> Message:
        each = Iteration(items, lane=lane, lanes=lanes, origin=run.id, visit=run.visit, results=results)
        return replace(run, id=f"{run.id}.{run.visit}.{lane}", visit=0, each=each).message()

    async def _element(self, run: Run, step: Step, each: ForEach, iteration: Iteration) -> Continue:
        run = await run.at_rest()
        item = await in_thread_if_large(iteration.items.bytes, iteration.element)
        element = Run(
            run.id,
            run.runbook,
            step=each.first,
            visit=run.visit + 1,
            variables={each.item: item},
            plain=(each.item,),
            started=run.started,
            steps=1,
            depth=run.depth,
            callers=(*run.callers, waiting_caller(run, step)),
        )
        return Continue(element.message(), self._queue, f"{step.name}{ARROW}{each.first}, element {iteration.index}")

    async def _result(self, run: Run, each: ForEach, ended: ChildResult) -> tuple[Mapping[str, Any], RunFailure | None]:
        """Return the value that the element adds to each variable of `into`, or why the element failed."""
        nothing = dict.fromkeys(each.results)
        if ended.failure is not None or ended.run is None:
            return nothing, ended.failure or RunFailure(DeadClass.FAILED.value, "its run ended without a result")
        if each.into is None:
            return nothing, None
        values = replace(ended.run, callers=(*run.callers, replace(run, callers=(), returned=None))).values()
        try:
            return await each.into.fill(values, self._evaluator), None
        except ExpressionError as error:
            if not each.failures:
                raise
            return nothing, RunFailure(DeadClass.TRANSFORM.value, f"`into`: {error}", step=run.step or "")

    async def _join(self, run: Run, iteration: Iteration) -> Outcome:
        """End a lane. The last lane to end goes on with the results of all lanes."""
        origin = iterating_run(run)

        def onward(parts: Mapping[int, Mapping[str, Any]]) -> tuple[Message, str]:
            return replace(origin, visit=origin.visit + 1, each=merge_lanes(parts, iteration)).message(), self._queue

        document = {"count": iteration.items.count, "results": iteration.results, "failures": iteration.failures}
        part = LanePart(f"{iteration.origin}:{iteration.visit}", iteration.lane, iteration.lanes, document)
        last = await self._broker.join(self._meeting, part, onward)
        return Done(f"lane {iteration.lane} of {iteration.lanes} has ended" + (", the last one" if last else ""))

    def _finish(self, run: Run, each: ForEach, iteration: Iteration) -> IterationDone:
        values = run.values()
        found = dict(iteration.results) | ({each.failures: list(iteration.failures)} if each.failures else {})
        changed = replace(values, variables=dict(values.variables) | found, plain=values.plain | found.keys())
        return IterationDone(replace(run, each=None, returned=None), changed)


def elements_of(value: Any, each: ForEach) -> list[Any]:
    """Return the elements of a value. Raises `ExpressionError`.

    JSONata turns a list with one element into that element, so a single value of an expression counts as a list of one.
    """
    if isinstance(value, list):
        return value
    if value is None and each.may_be_missing:
        return []
    if value is None or not each.single:
        raise ExpressionError("`for_each` yields no list; an expression in brackets always yields one: {{ [ … ] }}")
    return [value]
