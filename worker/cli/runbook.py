"""`halo-worker runbook show`: draws a runbook as a flow chart, in the terminal or as Mermaid text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rich.tree import Tree

from worker.cli.console import output
from worker.config.automation import Runbook, StepKind
from worker.config.flow_outline import edges, starts, step_label
from worker.config.loader import load_routes
from worker.core.errors import WorkerError
from worker.core.suggest import choices

SHAPES: Mapping[StepKind, tuple[str, str]] = {
    "end": ("([", "])"),
    "condition": ("{", "}"),
    "action": ("[[", "]]"),
    "method": ("[", "]"),
    "set": ("[/", "/]"),
    "wait": ("(", ")"),
    "publish": (">", "]"),
    "start": ("[[", "]]"),
    "for_each": ("{{", "}}"),
}


class NoSuchRunbook(WorkerError):
    """The route files have no runbook of this name."""


def show_runbook(name: str, directory: Path, environment: Mapping[str, str], secrets: Path, *, mermaid: bool) -> int:
    """Draw a runbook. Raises `ConfigError`, `NoSuchRunbook`."""
    runbook = find_runbook(load_routes(directory, environment, secrets).runbooks, name)
    if mermaid:
        output().print(as_mermaid(runbook), soft_wrap=True)
    else:
        output().print(as_tree(runbook))
    return 0


def find_runbook(runbooks: Mapping[str, Runbook], name: str) -> Runbook:
    if name in runbooks:
        return runbooks[name]
    raise NoSuchRunbook(f"there is no runbook {name!r}{choices(name, runbooks, none='the route files have no runbooks')}")


def as_tree(runbook: Runbook) -> Tree:
    """Return the tree. It shows each step once, where the flow reaches it first, and repeats only its name elsewhere."""
    tree = Tree(f"{runbook.name}  (started by {', '.join(starts(runbook)) or 'webhooks or other runbooks'})")
    _grow(tree, runbook, runbook.first, "", set())
    return tree


def _grow(branch: Tree, runbook: Runbook, name: str, label: str, drawn: set[str]) -> None:
    step = runbook.steps[name]
    arrow = f"{label} → " if label else ""
    if name in drawn:
        branch.add(f"{arrow}{name} (above)")
        return
    drawn.add(name)
    below = branch.add(f"{arrow}{step_label(step)}")
    for target, why in edges(step):
        _grow(below, runbook, target, why, drawn)


def as_mermaid(runbook: Runbook) -> str:
    """Return a flow chart for documentation."""
    lines = ["flowchart TD", f'  start(["{escaped(", ".join(starts(runbook)) or "webhook or runbook")}"]) --> {identifier(runbook.first)}']
    for step in runbook.steps.values():
        opening, closing = SHAPES[step.kind]
        lines.append(f'  {identifier(step.name)}{opening}"{escaped(step_label(step))}"{closing}')
        for target, why in edges(step):
            label = f'|"{escaped(why)}"|' if why else ""
            lines.append(f"  {identifier(step.name)} -->{label} {identifier(target)}")
    return "\n".join(lines)


def escaped(text: str) -> str:
    return text.replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def identifier(name: str) -> str:
    return "s_" + re.sub(r"\W", "_", name)
