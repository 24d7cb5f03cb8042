"""Compiled parts of steps: branches, and the effects of steps that call no API."""

from __future__ import annotations

from dataclasses import dataclass

from worker.config.compiled import Condition
from worker.config.run_values import RunTemplate

MAX_STARTS = 10  # the depth of nested runbook starts, and of nested iterations, in one run


@dataclass(frozen=True, slots=True)
class Branch:
    """The run goes to the first branch whose `when` is true; None is always true. `label`: the text of the condition, for drawings."""

    when: Condition | None
    go: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Publication:
    """A message that a step publishes. `headers`: a mapping from names to text, numbers, true or false."""

    exchange: str
    routing_key: RunTemplate
    headers: RunTemplate | None = None
    body: RunTemplate | None = None


@dataclass(frozen=True, slots=True)
class SubRunbook:
    """Another runbook that a step starts. `input`: a mapping of its variables; `waits`: the step ends with that run."""

    runbook: str
    input: RunTemplate | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class ForEach:
    """An iteration: one sub-run for each element of `items`, at the step `first`, with the element in the variable `item`.

    `parallel`: maximum elements in progress. `into`: a mapping from variables to the value that each element adds. `failures`: the variable that collects
    failed elements; empty: the first failed element fails the step.
    """

    items: RunTemplate
    item: str
    first: str
    parallel: int = 1
    into: RunTemplate | None = None
    results: tuple[str, ...] = ()
    """The variables of `into`."""
    failures: str = ""
    single: bool = False
    """Whether `items` is an expression, which yields a list of one element as that element."""
    may_be_missing: bool = False
    """Whether a missing or null value of `items` counts as an empty list."""
