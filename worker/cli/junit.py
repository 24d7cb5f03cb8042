"""Writes the results of examples as JUnit XML, which pipelines read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from worker.app.planning.examples import ExampleResult
from worker.core.errors import WorkerError
from worker.core.printable import printable


class JunitNotWritten(WorkerError):
    """A file could not be written."""


def write_junit(path: Path, results: Sequence[ExampleResult]) -> None:
    """Write the file, with one suite for each route. Raises `JunitNotWritten`."""
    root = Element("testsuites", {"name": "halo-worker", "tests": str(len(results)), "failures": str(failures(results))})
    for route in dict.fromkeys(result.route for result in results):
        own = [result for result in results if result.route == route]
        suite = SubElement(root, "testsuite", {"name": f"{own[0].kind} {route}", "tests": str(len(own)), "failures": str(failures(own))})
        for result in own:
            add_case(suite, result)
    tree = ElementTree(root)
    indent(tree)
    try:
        tree.write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise JunitNotWritten(f"{path} cannot be written: {(error.strerror or 'unknown reason').lower()}") from None


def add_case(suite: Element, result: ExampleResult) -> None:
    example = result.example
    case = SubElement(
        suite, "testcase", {"classname": f"{result.kind}.{result.route}", "name": printable(example.name), "file": example.place, "line": str(example.line)}
    )
    if not result.passed:
        lines = [printable(f"{each.place}: expected {each.expected!r}, found {each.found!r}") for each in result.differences]
        failure = SubElement(case, "failure", {"message": lines[0]})
        failure.text = "\n".join(lines)


def failures(results: Sequence[ExampleResult]) -> int:
    return sum(not result.passed for result in results)
