"""A runbook in words, for charts and lists: its starts, a summary of each step, and the next steps."""

from __future__ import annotations

import re
from collections.abc import Iterator

from worker.catalogue.actions import Action
from worker.config.automation import Method, Runbook, Step
from worker.config.control_steps import ForEach, Publication, SubRunbook
from worker.core.durations import format_duration

LABEL_LENGTH = 60


def starts(runbook: Runbook) -> list[str]:
    """Return the starts of a runbook, except webhooks."""
    found = [f"queue {runbook.queue}"] if runbook.queue else []
    found += [f"schedule {runbook.schedule}"] if runbook.schedule else []
    return [*found, f"POST /runbooks/{runbook.name}"] if runbook.endpoint else found


def step_label(step: Step) -> str:
    """The step in a few words."""
    match step:
        case Step(end=str() as end):
            label = f"ends, {end}"
        case Step(method=Method() as method):
            label = f"{method.full_name} ({method.verb})"
        case Step(action=Action() as action):
            label = f"{action.name} on {step.client}"
        case Step(wait=float() as seconds):
            label = f"waits {format_duration(seconds)}"
        case Step(publish=Publication() as publication):
            label = f"publishes to exchange {publication.exchange}"
        case Step(start=SubRunbook() as started):
            label = f"starts runbook {started.runbook}{' and waits for its end' if started.waits else ''}"
        case Step(each=ForEach() as each):
            label = f"for each {each.item}{f', {each.parallel} at a time' if each.parallel > 1 else ''}"
        case Step(sets=names) if names:
            label = f"sets {', '.join(names)}"
        case _:
            label = "which way?"
    return f"{step.name}: {label}"


def edges(step: Step) -> Iterator[tuple[str, str]]:
    """Yield the next steps and their conditions."""
    if step.each is not None:
        yield step.each.first, "each"
    for branch in step.go:
        yield branch.go, label_text(branch.label) if branch.when is not None else "else" if len(step.go) > 1 else ""
    if step.on_failure is not None:
        yield step.on_failure, "on failure"


def label_text(text: str) -> str:
    plain = re.sub(r"\s+", " ", text.strip().removeprefix("{{").removesuffix("}}")).strip()
    return plain if len(plain) <= LABEL_LENGTH else plain[: LABEL_LENGTH - 1] + "…"
