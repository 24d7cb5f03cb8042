"""A runbook in words: what starts it, what each step does in short, and where it leads. Charts and lists are made of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from worker.config.automation import Runbook, Step

LABEL_LENGTH = 60


def starts(runbook: Runbook) -> list[str]:
    """What starts it, apart from webhooks."""
    found = [f"queue {runbook.queue}"] if runbook.queue else []
    return [*found, f"POST /runbooks/{runbook.name}"] if runbook.endpoint else found


def kind(step: Step) -> str:
    if step.end is not None:
        return "end"
    if step.method is not None:
        return "method"
    return "action" if step.action is not None else "condition"


def described(step: Step) -> str:
    """The step in a few words."""
    if step.end is not None:
        return f"{step.name}: ends, {step.end}"
    if step.method is not None:
        return f"{step.name}: {step.method.full_name} ({step.method.verb})"
    return f"{step.name}: {step.action.name} on {step.client}" if step.action is not None else f"{step.name}: which way?"


def edges(step: Step) -> Iterator[tuple[str, str]]:
    """Where it leads, and when."""
    for branch in step.go:
        yield branch.go, shortened(branch.label) if branch.when is not None else "else" if len(step.go) > 1 else ""
    if step.on_failure is not None:
        yield step.on_failure, "on failure"


def shortened(text: str) -> str:
    plain = re.sub(r"\s+", " ", text.strip().removeprefix("{{").removesuffix("}}")).strip()
    return plain if len(plain) <= LABEL_LENGTH else plain[: LABEL_LENGTH - 1] + "…"
