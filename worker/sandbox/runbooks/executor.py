"""Moves a run from step to step, along the document's ways."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.sandbox.runbooks.api_actions import perform
from worker.sandbox.runbooks.calls import IntegrationCalls
from worker.sandbox.runbooks.comparisons import all_hold
from worker.sandbox.runbooks.values import MISSING, REFERENCE, RunValues, Unresolved, declared
from worker.sandbox.simulated_halo import SimulatedHalo

CONDITION, END = 1, 3
METHOD, API_ACTION, BEGIN, CONTINUE, SLEEP, START = 6, 8, 12, 13, 21, 24
FAILED_END = 1
LOOP = -98
AFTER_CHAIN = -9999
"""The `runbook_step` of a run that ended by starting another run."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a run. `chained`: the GUID of the runbook that it started, with the values for that runbook."""

    error: str = ""
    step: int = 0
    executed: int = 0
    chained: str = ""
    given: Mapping[str, str] = field(default_factory=dict)


class StepFailed(Exception):
    """The run ends here; the text is its error."""


@dataclass
class Loop:
    """An iteration in progress."""

    begin: Mapping[str, Any]
    items: list[Any]
    index: int = 0


class RunbookExecutor:
    """Runs one document."""

    def __init__(self, halo: SimulatedHalo, calls: IntegrationCalls, document: Mapping[str, Any]) -> None:
        self._halo = halo
        self._calls = calls
        self._inputs = document.get("input_variables") or ()
        self._steps: dict[Any, Mapping[str, Any]] = {}
        for step in document.get("steps") or ():
            self._steps.setdefault(step.get("step_id"), step)
        self._loops: list[Loop] = []

    async def run(self, request: Any, given: Mapping[str, Any]) -> RunEnd:
        """`given`: values for declared variables."""
        values = self._starting_values(request, given)
        step = next((each for each in self._steps.values() if each.get("isstart")), None)
        executed = 0
        while step is not None:
            if step.get("steptype") == END:
                failed = step.get("auto_action") == FAILED_END
                return RunEnd(f"Failed result reached. Last step={step['step_id']}" if failed else "", step["step_id"], executed)
            if executed >= self._halo.settings.runbook_steps:
                return RunEnd("Infinite loop detected", step["step_id"], executed)
            executed += 1
            if step.get("auto_action") == START and step.get("steptype") != CONDITION:
                inputs = {str(row["key"]): values.fill(str(row.get("value") or "")) for row in step.get("input_values") or ()}
                return RunEnd("", AFTER_CHAIN, executed, str(step.get("start_new_runbook_id")), inputs)
            try:
                step = await self._next(step, values)
            except (StepFailed, Unresolved) as error:
                return RunEnd(str(error), step["step_id"], executed)
        return RunEnd("" if not self._steps else "Next step not found", 0, executed)

    def _starting_values(self, request: Any, given: Mapping[str, Any]) -> RunValues:
        values = RunValues(request)
        for row in self._inputs:
            name = str(row["key"])
            reference = REFERENCE.fullmatch(str(row.get("value") or "").strip())
            value, plain = values.resolve(reference[1]) if reference is not None else declared(row)
            if name in given:
                value, plain = given[name], True
            if value is not MISSING:
                values.variables[name] = (value, plain)
        return values

    async def _next(self, step: Mapping[str, Any], values: RunValues) -> Mapping[str, Any]:
        """Return the next step. Raises `StepFailed`, `Unresolved`."""
        good = await self._take(step, values)
        way = next((edge for edge in step.get("actions") or () if edge.get("approval_result") == int(good)), None)
        if way is None:
            raise StepFailed(f"Failed result reached. Last step={step['step_id']}" if not good else "Next step not found")
        number = way.get("end_step")
        if number == LOOP:
            number = next(edge["end_step"] for edge in self._loops[-1].begin["actions"] if edge.get("approval_result") == 1)
        if number not in self._steps:
            raise StepFailed("Next step not found")
        return self._steps[number]

    async def _take(self, step: Mapping[str, Any], values: RunValues) -> bool:
        """Execute the step. Return whether it succeeded, or whether its condition holds."""
        if step.get("steptype") == CONDITION:
            return all_hold(step.get("step_conditions") or (), values)
        match step.get("auto_action"):
            case 6:
                good = await self._calls.call(step.get("auto_action_type"), values)
            case 8:
                good = perform(self._halo, step.get("auto_action_type"), step.get("message"), values)
            case 12:
                return self._begin(step, values)
            case 13:
                return self._continue(step, values)
            case 21:
                await asyncio.sleep(float(step.get("duration") or 0) * self._halo.settings.runbook_second)
                return True
            case other:
                raise StepFailed(f"The action {other} is not simulated")
        if good:
            self._map(step, values)
        return good

    def _begin(self, step: Mapping[str, Any], values: RunValues) -> bool:
        reference = REFERENCE.fullmatch(str(step.get("message") or "").strip())
        items = values.resolve(reference[1])[0] if reference is not None else MISSING
        if not isinstance(items, list):
            raise StepFailed("The variable of the iteration is not an array")
        if not items:
            return False
        self._loops.append(Loop(step, items))
        self._element(values)
        return True

    def _continue(self, step: Mapping[str, Any], values: RunValues) -> bool:
        """Whether the iteration is finished."""
        if not self._loops:
            raise StepFailed(f"No iteration is under way at step {step['step_id']}")
        loop = self._loops[-1]
        loop.index += 1
        if loop.index >= len(loop.items):
            self._loops.pop()
            return True
        self._element(values)
        return False

    def _element(self, values: RunValues) -> None:
        """The mappings of an iteration read the element as `response`."""
        loop, answer = self._loops[-1], values.response
        values.response = loop.items[loop.index]
        self._map(loop.begin, values)
        values.response = answer

    def _map(self, step: Mapping[str, Any], values: RunValues) -> None:
        values.map(step.get("output_variables"))
        values.map(step.get("runbook_variable_mappings"))
