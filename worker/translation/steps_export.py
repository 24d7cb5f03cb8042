"""Translates single steps of a route file to steps of a runbook document."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from worker.config.variables import VariableSyntaxError, parse_variable
from worker.core.durations import parse_duration
from worker.translation.conditions import criteria
from worker.translation.export_graph import ExportGraph, Steps, loop_ways, ways
from worker.translation.halo_steps import ACTION, CONDITION, END, Kind
from worker.translation.json_bodies import write_body
from worker.translation.outputs import write_outputs
from worker.translation.report import TranslationReport, Untranslatable
from worker.translation.steps_import import ACTIONS
from worker.translation.texts import jsonata_name, to_halo_text

ACTION_NUMBERS = {name: number for number, name in sorted(ACTIONS.items(), reverse=True)}
LEFT_OUT = {"retry", "in_doubt", "timeout", "required", "missing", "allow_unknown"}
"""Members without a counterpart that have an effect only when a call fails: the report names them."""
ELEMENT = re.compile(r"\{\{\s*(?P<path>.+?)\s*\}\}", re.DOTALL)
FIRST_MATCH = re.compile(r'\[\$string\((?P<member>`[^`]*`|\w+)\) = "(?P<value>(?:\\.|[^"\\])*)"\]\[0\]')
MEMBER = re.compile(r"\.(`[^`]+`|[A-Za-z_]\w*)")


class StepExport:
    """`methods`: Halo's numbers by integration.method; `runbooks`: GUIDs by name; `plain`: variables that hold texts."""

    def __init__(
        self, graph: ExportGraph, steps: Steps, methods: Mapping[str, int], runbooks: Mapping[str, str], plain: Collection[str], report: TranslationReport
    ) -> None:
        self._graph = graph
        self._steps = steps
        self._methods = methods
        self._runbooks = runbooks
        self._plain = plain
        self._report = report

    def export(self, name: str) -> list[dict[str, Any]]:
        """Return the step, and for an iteration also the step that ends it. Raises `Untranslatable`."""
        step, graph = self._steps[name], self._graph
        base: dict[str, Any] = {"step_id": graph.numbers[name], "name": name, "isstart": name == graph.first, "isend": "end" in step}
        if "end" in step:
            return [base | self._end(step)]
        if "for_each" in step:
            return self._iteration(name, step, base)
        if set(step) == {"next"}:
            return [base | self._condition(name, step)]
        made = self._work(step)
        kind: Kind = "method" if "method" in step else "action" if "action" in step else "sleep"
        following = step.get("next")
        if isinstance(following, list):
            raise Untranslatable("the step has branches: Halo needs a condition step of its own after it")
        if "start" in step:
            return [base | made | {"actions": []}]
        no = graph.way(name, step["on_failure"], self._steps) if step.get("on_failure") else None
        return [base | made | {"actions": ways(kind, base["step_id"], graph.way(name, following, self._steps), no)}]

    def _end(self, step: Mapping[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {"steptype": END, "actions": []}
        if step["end"] == "failed":
            made |= {"auto_action": 1} | ({"message": to_halo_text(step["reason"])} if step.get("reason") else {})
        return made

    def _work(self, step: Mapping[str, Any]) -> dict[str, Any]:
        for member in step.keys() & LEFT_OUT:
            if step[member] not in ([], "fail", False):
                self._report.add(str(member), str(step[member]), "left out", "Halo has no counterpart")
        if "method" in step:
            number = self._methods.get(step["method"])
            if number is None:
                raise Untranslatable(f"the method {step['method']} is not in the route files")
            return {"steptype": ACTION, "auto_action": 6, "auto_action_type": number} | outputs_of(step)
        if "action" in step:
            return self._action(step)
        if "wait" in step and "start" not in step:
            return {"steptype": ACTION, "auto_action": 21, "duration": whole_seconds(step["wait"])}
        if "start" in step:
            return self._start(step)
        kind = next((kind for kind in ("set", "publish") if kind in step), "step")
        raise Untranslatable(
            f"`{kind}` has no counterpart in Halo here" + (": values without expressions may be set by the first step alone" if kind == "set" else "")
        )

    def _action(self, step: Mapping[str, Any]) -> dict[str, Any]:
        if step["action"] not in ACTION_NUMBERS:
            raise Untranslatable(f"the action {step['action']} has no number that is known in Halo: {', '.join(ACTION_NUMBERS)} have")
        if beyond := [member for member in ("path", "query", "find") if step.get(member)]:
            raise Untranslatable(f"`{beyond[0]}` has no counterpart in a Halo API action")
        message = write_body(step.get("body"), self._plain)
        return {"steptype": ACTION, "auto_action": 8, "auto_action_type": ACTION_NUMBERS[step["action"]], "message": message} | outputs_of(step)

    def _start(self, step: Mapping[str, Any]) -> dict[str, Any]:
        if step.get("wait") or step.get("next"):
            raise Untranslatable("Halo's run ends where it starts another runbook: leave out `wait` and `next`")
        if step["start"] not in self._runbooks:
            raise Untranslatable(f"the runbook `{step['start']}` has no GUID: create it in Halo, and pull it")
        given = [{"key": name, "value": to_halo_text(str(value))} for name, value in (step.get("input") or {}).items()]
        made = {"steptype": ACTION, "auto_action": 24, "start_new_runbook_id": self._runbooks[step["start"]]}
        return made | ({"input_values": given} if given else {})

    def _condition(self, name: str, step: Mapping[str, Any]) -> dict[str, Any]:
        following, graph, number = step["next"], self._graph, self._graph.numbers[name]
        branches = [{"go": following}] if isinstance(following, str) else list(following)
        whens = [branch.get("when") for branch in branches]
        if whens == [None]:
            return {
                "steptype": ACTION,
                "auto_action": 21,
                "duration": 0,
                "actions": ways("sleep", number, graph.way(name, branches[0]["go"], self._steps), None),
            }
        if len(branches) > 2 or whens[0] is None or whens[1:] not in ([], [None]):  # noqa: PLR2004  the two ways out of a condition
            raise Untranslatable("a condition of Halo has one comparison with two ways: make a step of each further branch")
        no = graph.way(name, branches[1]["go"], self._steps) if len(branches) > 1 else None
        rows = criteria(str(whens[0]).strip().removeprefix("{{").removesuffix("}}"))
        yes = graph.way(name, branches[0]["go"], self._steps)
        return {"steptype": CONDITION, "auto_action": 6, "step_conditions": rows, "actions": ways("condition", number, yes, no)}

    def _iteration(self, name: str, step: Mapping[str, Any], base: Mapping[str, Any]) -> list[dict[str, Any]]:
        graph = self._graph
        if beyond := [member for member in ("parallel", "into", "failures") if step.get(member) not in (None, 1)]:
            raise Untranslatable(f"`{beyond[0]}` has no counterpart: Halo takes element after element, and keeps nothing of them")
        items = step["for_each"]
        if not (isinstance(items, str) and items.strip().startswith("<<") and items.strip().endswith(">>")):
            raise Untranslatable("Halo iterates over one variable: write `for_each: <<Items>>`")
        if not isinstance(step.get("next"), str | None) or step.get("on_failure"):
            raise Untranslatable("the ways out of an iteration have no counterpart: Halo knows one next step")
        values = graph.values.get(name)
        first = self._steps[values].get("next") if values else step["do"]
        begin = graph.way(values or step["do"], first, self._steps)
        after = graph.way(name, step.get("next"), self._steps)
        message, end = to_halo_text(items), graph.ends[name]
        made = {"steptype": ACTION, "auto_action": 12, "message": message, "output_variables": self._element(step.get("as", "Item"), values)}
        last = {"step_id": end, "name": f"{name}: next element", "isstart": False, "isend": False, "steptype": ACTION, "auto_action": 13, "message": message}
        return [{**base, **made, "actions": ways("begin", base["step_id"], begin, after)}, last | {"actions": loop_ways(end, after)}]

    def _element(self, item: str, values: str | None) -> list[dict[str, Any]]:
        """Return the mappings of an element: the whole element in the variable of `as`, and members of it."""
        found = {item: "response"}
        for name, value in (self._steps[values]["set"] if values else {}).items():
            expression = ELEMENT.fullmatch(str(value))
            root = jsonata_name(item)
            if expression is None or not expression["path"].startswith(root):
                raise Untranslatable(f"the variable `{name}` is computed, which Halo cannot")
            found[name.removesuffix("?")] = f"response{halo_path(expression['path'][len(root) :], name)}"
        return write_outputs(found)


def halo_path(path: str, name: str) -> str:
    """Return the part of an expression below its root, in Halo's grammar. Raises `Untranslatable`."""
    written = FIRST_MATCH.sub(lambda found: f"[{found['member'].strip('`')}={found['value']}]", path)
    written = MEMBER.sub(lambda found: f"^{found[1].strip('`')}", written)
    try:
        return str(parse_variable(f"response{written}"))[len("response") :]
    except VariableSyntaxError:
        raise Untranslatable(f"the variable `{name}` is computed, which Halo cannot") from None


def outputs_of(step: Mapping[str, Any]) -> dict[str, Any]:
    return {"runbook_variable_mappings": write_outputs(step["output"])} if step.get("output") else {}


def whole_seconds(duration: Any) -> int:
    seconds = parse_duration(str(duration))
    if not seconds.is_integer():
        raise Untranslatable(f"the wait of {duration} is no whole number of seconds")
    return int(seconds)
