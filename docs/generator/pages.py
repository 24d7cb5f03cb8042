"""Which reference pages there are, and the text of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from docs.generator.alerts import alerts_page
from docs.generator.commands import commands_page
from docs.generator.dead_classes import dead_classes_page
from docs.generator.log_events import log_events_page
from docs.generator.metrics import metrics_page
from docs.generator.route_files import route_files_page
from docs.generator.settings import settings_page

PAGES: Mapping[str, Callable[[], str]] = {
    "route-files.md": route_files_page,
    "settings.md": settings_page,
    "commands.md": commands_page,
    "metrics.md": metrics_page,
    "alerts.md": alerts_page,
    "log-events.md": log_events_page,
    "dead-classes.md": dead_classes_page,
}


def write(folder: Path) -> list[Path]:
    """Write each page that differs, and return these."""
    changed = old(folder)
    for path, text in changed.items():
        path.write_text(text, "utf-8")
    return list(changed)


def stale(folder: Path) -> list[Path]:
    """The pages whose text is not what the code says now."""
    return list(old(folder))


def old(folder: Path) -> dict[Path, str]:
    """The pages that differ, each with the text that it must have."""
    texts = {folder / name: page() for name, page in PAGES.items()}
    return {path: text for path, text in texts.items() if not path.exists() or path.read_text("utf-8") != text}
