"""`halo-worker runbook export`: prints Halo's document of a runbook or an integration of the route files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.text import Text

from worker.cli.console import errors, write_json
from worker.config.config_node import RouteFile
from worker.config.interpolation import Variables
from worker.config.loader import route_files
from worker.config.yaml_text import read_yaml
from worker.core.errors import ConfigError, Problem, WorkerError
from worker.core.suggest import choices
from worker.translation.exporting import export as export_definition
from worker.translation.report import Kind, TranslationReport

GOOD, REFUSED = 0, 1
SECTIONS: tuple[tuple[str, Kind], ...] = (("runbooks", "runbook"), ("integrations", "integration"))


class NoSuchDefinition(WorkerError):
    """The route files have no runbook and no integration of this name."""


def export(name: str, directory: Path) -> int:
    """Print the document. Return 0 when it is printed, 1 after refusals. Raises `ConfigError`, `NoSuchDefinition`, `BrokenCopy`."""
    found = definitions(directory)
    kind = next((kind for section, kind in SECTIONS if name in found[section]), None)
    if kind is None:
        names = sorted({*found["runbooks"], *found["integrations"]})
        raise NoSuchDefinition(f"there is no runbook and no integration {name!r}{choices(name, names, none='; the route files have none')}")
    report = TranslationReport(kind, name)
    document = export_definition(kind, name, found["integrations"], found["runbooks"], directory, report)
    for line in report.lines:
        errors().print(Text(f"{line.place}: {line.halo}: {line.here}" + (f" ({line.difference})" if line.difference else "")), soft_wrap=True)
    for refusal in report.refusals:
        errors().print(Text(f"refused: {refusal.place}: {refusal.reason}", style="red"), soft_wrap=True)
    if document is None:
        return REFUSED
    write_json(document)
    return GOOD


def definitions(directory: Path) -> dict[str, dict[str, Any]]:
    """Return the runbooks and integrations as the files have them, with `${NAME}`. Raises `ConfigError`."""
    found: dict[str, dict[str, Any]] = {section: {} for section, _ in SECTIONS}
    paths = route_files(directory)
    if not paths:
        raise ConfigError([Problem(str(directory), 0, 0, "there are no route files (*.yaml) here")])
    for path in paths:
        root = read_yaml(RouteFile(str(path), path.read_bytes().decode("utf-8-sig", "replace"), Variables({}, directory)))
        for section in found:
            found[section] |= {name: node.value for name, node in root.child(section).members.items() if isinstance(node.value, dict)}
    return found
