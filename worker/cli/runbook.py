"""`halo-worker runbook show`: a runbook as a flow chart, in the terminal or as Mermaid text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.tree import Tree

from worker.catalogue.actions import Action
from worker.cli.console import output
from worker.config.automation import Method, Runbook, Step, StepKind
from worker.config.control_steps import ForEach, Publication, SubRunbook
from worker.config.loader import load_routes
from worker.core.durations import format_duration
from worker.core.errors import WorkerError
from worker.core.suggest import choices

LABEL_LENGTH = 60
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
    """Raises `ConfigError`, `NoSuchRunbook`."""
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
    """Each step once, where the flow reaches it first; elsewhere it is only named."""
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
    below = branch.add(f"{arrow}{described(step)}")
    for target, why in edges(step):
        _grow(below, runbook, target, why, drawn)


def as_mermaid(runbook: Runbook) -> str:
    """A flow chart that documentation can hold."""
    lines = ["flowchart TD", f'  start(["{escaped(", ".join(starts(runbook)) or "webhook or runbook")}"]) --> {identifier(runbook.first)}']
    for step in runbook.steps.values():
        opening, closing = SHAPES[step.kind]
        lines.append(f'  {identifier(step.name)}{opening}"{escaped(described(step))}"{closing}')
        for target, why in edges(step):
            label = f'|"{escaped(why)}"|' if why else ""
            lines.append(f"  {identifier(step.name)} -->{label} {identifier(target)}")
    return "\n".join(lines)


def starts(runbook: Runbook) -> list[str]:
    """What starts it, apart from webhooks."""
    found = [f"queue {runbook.queue}"] if runbook.queue else []
    found += [f"schedule {runbook.schedule}"] if runbook.schedule else []
    return [*found, f"POST /runbooks/{runbook.name}"] if runbook.endpoint else found


def described(step: Step) -> str:
    """The step in a few words."""
    match step:
        case Step(end=str() as end):
            told = f"ends, {end}"
        case Step(method=Method() as method):
            told = f"{method.full_name} ({method.verb})"
        case Step(action=Action() as action):
            told = f"{action.name} on {step.client}"
        case Step(wait=float() as seconds):
            told = f"waits {format_duration(seconds)}"
        case Step(publish=Publication() as publication):
            told = f"publishes to exchange {publication.exchange}"
        case Step(start=SubRunbook() as started):
            told = f"starts runbook {started.runbook}{' and waits for its end' if started.waits else ''}"
        case Step(each=ForEach() as each):
            told = f"for each {each.item}{f', {each.parallel} at a time' if each.parallel > 1 else ''}"
        case Step(sets=names) if names:
            told = f"sets {', '.join(names)}"
        case _:
            told = "which way?"
    return f"{step.name}: {told}"


def edges(step: Step) -> Iterator[tuple[str, str]]:
    """Where it leads, and when."""
    if step.each is not None:
        yield step.each.first, "each"
    for branch in step.go:
        yield branch.go, shortened(branch.label) if branch.when is not None else "else" if len(step.go) > 1 else ""
    if step.on_failure is not None:
        yield step.on_failure, "on failure"


def shortened(text: str) -> str:
    plain = re.sub(r"\s+", " ", text.strip().removeprefix("{{").removesuffix("}}")).strip()
    return plain if len(plain) <= LABEL_LENGTH else plain[: LABEL_LENGTH - 1] + "…"


def escaped(text: str) -> str:
    return text.replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def identifier(name: str) -> str:
    return "s_" + re.sub(r"\W", "_", name)
