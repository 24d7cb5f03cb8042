"""Translates single steps of a runbook document to steps of a route file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from worker.config.variables import parse_variable
from worker.translation.conditions import condition
from worker.translation.halo_steps import HaloStep, is_number
from worker.translation.json_bodies import read_body
from worker.translation.known_methods import ImportContext
from worker.translation.outputs import keyed, read_outputs
from worker.translation.report import TranslationReport, Untranslatable
from worker.translation.texts import jsonata_name, jsonata_path, read_variable, to_route_text, unwrapped

ACTIONS: Mapping[int, str] = {1: "create_ticket", 2: "update_ticket", 3: "create_action", 4: "create_user", 5: "create_user"}
"""Halo API actions by `auto_action_type`."""
MAX_SLEEP = 30 * 86400
DOUBT = "Halo takes the failure way after a call of unknown result; here the run is parked, so that nothing is done twice"
KEPT = "the worker first reads the ticket, and sends its type and customer too, which Halo needs"


class StepTranslation:
    """Translates the steps of one runbook. The result has no next steps: `runbook_import` adds them."""

    def __init__(self, surroundings: ImportContext, plain: Collection[str], report: TranslationReport) -> None:
        self._around = surroundings
        self._plain = plain
        self._report = report

    def translate(self, step: HaloStep) -> dict[str, Any]:
        """Translate a step. Raises `Untranslatable`. Iterations, their ends and conditions are translated with the graph."""
        match step.kind:
            case "done" | "failed":
                return self._end(step)
            case "method":
                return self._method(step)
            case "action":
                return self._action(step)
            case "sleep":
                return self._sleep(step)
            case "start":
                return self._start(step)
            case _:
                return {}

    def _end(self, step: HaloStep) -> dict[str, Any]:
        made: dict[str, Any] = {"end": step.kind}
        if step.kind == "failed":
            message = step.document.get("message")
            made["reason"] = to_route_text(message) if isinstance(message, str) and message.strip() else to_route_text(step.name)
        self._report.add(step.name, "end: success" if step.kind == "done" else "end: failure", f"end: {step.kind}")
        return made

    def _method(self, step: HaloStep) -> dict[str, Any]:
        identifier = step.document.get("auto_action_type")
        if not is_number(identifier):
            raise Untranslatable("the step names no method (`auto_action_type`)")
        if identifier in self._around.refused:
            raise Untranslatable(f"the step calls a method that was refused: {self._around.refused[identifier]}")
        if identifier not in self._around.methods:
            raise Untranslatable(f"the step calls the method {identifier}, which is not among the documents: add its integration and method")
        if keyed(step.document.get("input_values")):
            raise Untranslatable("the step gives the method values of its own (`input_values`): declare them as variables of the runbook")
        method = self._around.methods[identifier].name
        self._report.add(step.name, f"method {identifier}", f"method: {method}", DOUBT)
        return {"method": method, "retry": []} | self._outputs(step)

    def _action(self, step: HaloStep) -> dict[str, Any]:
        kind = step.document.get("auto_action_type")
        if not is_number(kind) or kind not in ACTIONS:
            raise Untranslatable(f"the Halo API action {kind!r} is not known (`auto_action_type`): call the API by a method of an integration")
        made = {"action": ACTIONS[kind], "client": self._around.client, "body": read_body(step.document.get("message"), self._plain), "retry": []}
        self._report.add(step.name, f"Halo API action {kind}", f"action: {ACTIONS[kind]}", f"{DOUBT}; {KEPT}" if ACTIONS[kind] == "update_ticket" else DOUBT)
        return made | self._outputs(step)

    def _outputs(self, step: HaloStep) -> dict[str, Any]:
        outputs = read_outputs(step.document.get("output_variables")) | read_outputs(step.document.get("runbook_variable_mappings"))
        return {"output": outputs} if outputs else {}

    def _sleep(self, step: HaloStep) -> dict[str, Any]:
        duration = step.document.get("duration")
        if duration is None:
            duration = 0
        if not is_number(duration) or not 0 <= duration <= MAX_SLEEP:
            raise Untranslatable(f"the duration of the sleep is not a whole number of seconds up to {MAX_SLEEP:,}")
        self._report.add(
            step.name, f"sleep {duration} s", f"wait: {duration}s" if duration else "a condition that always holds, since there is nothing to wait for"
        )
        return {"wait": f"{duration}s"} if duration else {}

    def _start(self, step: HaloStep) -> dict[str, Any]:
        target = step.document.get("start_new_runbook_id")
        known = self._around.runbooks
        if not isinstance(target, str) or target.lower() not in known:
            raise Untranslatable(f"the step starts the runbook {target!r}, which is not among the documents: add its document")
        made: dict[str, Any] = {"start": known[target.lower()]}
        given = {name: to_route_text(value) for name, value in keyed(step.document.get("input_values"))}
        self._report.add(step.name, f"start of the runbook {target}", f"start: {made['start']}")
        return made | ({"input": given} if given else {})


def condition_of(step: HaloStep) -> str:
    """Return the JSONata of a condition step. Raises `Untranslatable`."""
    rows = step.document.get("step_conditions")
    if rows is not None and not isinstance(rows, list):
        raise Untranslatable("`step_conditions` is not a list")
    return condition(rows or ())


def each_of(step: HaloStep, taken: Collection[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return `for_each` and `as` of an iteration, and the variables that a first step of each element sets. Raises `Untranslatable`.

    In a mapping of this step, `response` is the element.
    """
    batch, kind = step.document.get("iteration_batch_size"), step.document.get("iteration_type")
    if batch not in (None, 0, 1) or kind not in (None, 0):
        raise Untranslatable("the iteration takes its elements in batches (`iteration_type`, `iteration_batch_size`): only one by one has a counterpart")
    message = step.document.get("message")
    if not isinstance(message, str):
        raise Untranslatable("the iteration names no list (`message`)")
    items = read_variable(unwrapped(message))
    outputs = read_outputs(step.document.get("output_variables")) | read_outputs(step.document.get("runbook_variable_mappings"))
    whole = next((name for name, path in outputs.items() if path in {"response", "response!"}), None)
    item = whole or next(name for name in ("Item", *(f"Item{number}" for number in range(2, 1000))) if name not in taken)
    values: dict[str, str] = {}
    for name, path in outputs.items():
        parsed = parse_variable(path)
        if parsed.root != "response":
            raise Untranslatable(f"the variable `{name}` of an iteration must begin with `response`, which is the element there")
        if name != item:
            values[f"{name}?"] = f"{{{{ {jsonata_path(parsed, jsonata_name(item))} }}}}"
    return {"for_each": items.ours, "as": item}, values
