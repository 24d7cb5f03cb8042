"""The results of `check` for programs: JSON objects, annotations of a GitHub workflow, or a SARIF 2.1.0 log."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from worker import __version__
from worker.cli.console import output, write_json
from worker.core.errors import Problem

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RULES = {
    "error": ("route-file-mistake", "A mistake in a route file: the worker does not start with it."),
    "warning": ("route-file-warning", "A route file has something that Halo would ignore, or lacks something that Halo is known to need."),
}
Level = Literal["error", "warning"]


class Format(StrEnum):
    """How `check` prints its result."""

    TEXT = "text"
    GITHUB = "github"
    SARIF = "sarif"
    JSON = "json"


def problem_object(problem: Problem) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "column": problem.column, "message": problem.message, "excerpt": problem.excerpt}


def levels(problems: Sequence[Problem], warnings: Sequence[Problem]) -> Iterator[tuple[Level, Problem]]:
    yield from (("error", problem) for problem in problems)
    yield from (("warning", warning) for warning in warnings)


def path_of(problem: Problem, directory: Path) -> str:
    """Return the file's path from the working directory, which is the repository in CI. Problems name files from the directory's parent on."""
    path = os.path.relpath(directory.absolute().parent / problem.file)
    return Path(path).as_posix()


def write_github(problems: Sequence[Problem], warnings: Sequence[Problem], directory: Path) -> None:
    """Write one workflow command per line; GitHub shows each at its place in the pull request."""
    for level, problem in levels(problems, warnings):
        values = {"file": path_of(problem, directory), "line": problem.line, "col": problem.column}
        places = ",".join(f"{name}={escaped(str(value), properties=True)}" for name, value in values.items() if value)
        output().print(f"::{level} {places}::{escaped(problem.message)}", soft_wrap=True)


def escaped(text: str, *, properties: bool = False) -> str:
    """Return the text with the escapes of workflow commands."""
    marks = "%\r\n:," if properties else "%\r\n"
    return re.sub(f"[{marks}]", lambda found: f"%{ord(found[0]):02X}", text)


def write_sarif(problems: Sequence[Problem], warnings: Sequence[Problem], directory: Path) -> None:
    """Write one run with a result for each problem and warning."""
    rules = [{"id": rule, "shortDescription": {"text": text}, "defaultConfiguration": {"level": level}} for level, (rule, text) in RULES.items()]
    driver = {"name": "halo-worker", "version": __version__, "rules": rules}
    results = [sarif_result(level, problem, directory) for level, problem in levels(problems, warnings)]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    write_json({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


def sarif_result(level: Level, problem: Problem, directory: Path) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(path_of(problem, directory))}}
    if problem.line:
        place["region"] = {"startLine": problem.line} | ({"startColumn": problem.column} if problem.column else {})
    if problem.line and problem.excerpt:
        place["contextRegion"] = {"startLine": problem.line, "snippet": {"text": problem.excerpt}}
    rule = RULES[level][0]
    return {
        "ruleId": rule,
        "ruleIndex": [known for known, _ in RULES.values()].index(rule),
        "level": level,
        "message": {"text": problem.message},
        "locations": [{"physicalLocation": place}],
    }
