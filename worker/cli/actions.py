"""`halo-worker actions`: the Halo API actions, and the JSON that each expects."""

from __future__ import annotations

import orjson
from rich.json import JSON

from worker.catalogue.actions import ACTIONS, Action, find_action
from worker.cli.console import output, table, write_json


def print_actions(name: str, *, as_json: bool) -> int:
    """Print all actions, or one with its template. Raises `UnknownAction`."""
    if name:
        return _one(find_action(name), as_json=as_json)
    console = output()
    if as_json:
        write_json([_facts(action) for action in ACTIONS.values()])
        return 0
    listed = table(console, "action", "does", "needs")
    for action in ACTIONS.values():
        listed.add_row(action.name, f"{action.title} ({action.method} {action.entity})", _needs(action))
    console.print(listed)
    return 0


def _one(action: Action, *, as_json: bool) -> int:
    console = output()
    if as_json:
        write_json(_facts(action))
        return 0
    console.print(f"{action.name}: {action.title}. {action.method} {action.entity}")
    if action.required:
        console.print(f"needs {_needs(action)}")
    if action.keeps:
        console.print(f"reads from the record and sends back: {', '.join(action.keeps)}")
    if action.template:
        console.print(
            JSON(orjson.dumps(dict(action.template)).decode())
            if console.is_terminal
            else orjson.dumps(dict(action.template), option=orjson.OPT_INDENT_2).decode()
        )
    return 0


def _needs(action: Action) -> str:
    return ", ".join(need if isinstance(need, str) else " or ".join(need) for need in action.required)


def _facts(action: Action) -> dict[str, object]:
    return {
        "name": action.name,
        "title": action.title,
        "method": action.method,
        "entity": action.entity,
        "required": [need if isinstance(need, str) else list(need) for need in action.required],
        "keeps": list(action.keeps),
        "template": dict(action.template),
    }
