"""Prints the mistakes in route files: place and sentence, then the line with a caret under the place."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from worker.cli.console import errors, with_noun
from worker.core.errors import Problem
from worker.core.printable import printable


def print_problems(problems: Sequence[Problem], warnings: Sequence[Problem] = (), *, total: bool = True) -> None:
    """Print to standard error. `total`: add the numbers at the end."""
    console = errors()
    for problem in problems:
        print_one(console, problem, "", "red")
    for warning in warnings:
        print_one(console, warning, "warning: ", "yellow")
    numbers = [with_noun(len(problems), "problem")] * bool(problems) + [with_noun(len(warnings), "warning")] * bool(warnings)
    if total and numbers:
        console.print(Text(", ".join(numbers), style="red" if problems else "yellow"))


def print_one(console: Console, problem: Problem, label: str, style: str) -> None:
    place = str(problem).removesuffix(problem.message)
    console.print(Text.assemble((place, "bold"), (label, style), problem.message), soft_wrap=True)
    if not problem.excerpt:
        return
    number = f"{problem.line:>5} | "
    before = printable(problem.excerpt[: problem.caret])
    console.print(Text(f"{number}{problem.excerpt}", style="dim"), soft_wrap=True)
    console.print(Text.assemble((f"{'| ':>{len(number)}}", "dim"), (" " * cell_len(before) + "^", style)), soft_wrap=True)
