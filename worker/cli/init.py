"""`halo-worker init`: writes a new project: routes with examples, their schema, a compose file and passwords for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from secrets import token_urlsafe

import orjson

from worker.cli.console import output
from worker.config.schema import json_schema
from worker.core.errors import ConfigError, Problem, WorkerError

TEMPLATE = "project"
RENAMED = {"gitignore": ".gitignore"}
SCHEMA = "halo-worker.schema.json"
SECRETS = "secrets"
PRIVATE = 0o700


class ProjectNotWritten(WorkerError):
    """A file of the project could not be written."""


def write_project(directory: Path) -> int:
    """Write all files. Raises `ConfigError` for a directory that is not empty, `ProjectNotWritten`."""
    try:
        occupied = directory.exists() and (not directory.is_dir() or any(directory.iterdir()))
    except OSError as error:
        raise ProjectNotWritten(f"{directory} cannot be read: {(error.strerror or 'unknown reason').lower()}") from None
    if occupied:
        kind = "is not empty" if directory.is_dir() else "is not a directory"
        raise ConfigError([Problem(str(directory), 0, 0, f"it {kind}: name a directory that does not exist or is empty; nothing was written")])
    try:
        for name, text in {**dict(template_files(files("worker.cli") / TEMPLATE)), **secret_files(), SCHEMA: schema_text()}.items():
            write(directory / name, text)
        (directory / SECRETS / "halo").mkdir()
        (directory / SECRETS).chmod(PRIVATE)  # containers read the files in it under their own user ids
    except OSError as error:
        raise ProjectNotWritten(f"{error.filename or directory} cannot be written: {(error.strerror or 'unknown reason').lower()}") from None
    print_next_steps(directory)
    return 0


def template_files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each file's path in the project and its text."""
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        name = f"{prefix}{RENAMED.get(entry.name, entry.name)}"
        if entry.is_dir():
            yield from template_files(entry, f"{name}/")
        else:
            yield name, entry.read_text("utf-8")


def secret_files() -> Mapping[str, str]:
    """Return files with new passwords: each project has its own."""
    password = token_urlsafe(24)
    return {
        f"{SECRETS}/amqp_url": f"amqp://worker:{password}@rabbitmq:5672/\n",
        f"{SECRETS}/broker_user.conf": f"default_user = worker\ndefault_pass = {password}\n",
    }


def schema_text() -> str:
    return orjson.dumps(json_schema(), option=orjson.OPT_INDENT_2).decode() + "\n"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def print_next_steps(directory: Path) -> None:
    console = output()
    console.print(f"A project is in {directory}. Next:", soft_wrap=True)
    for command, does in (
        (f"cd {directory}", ""),
        ("halo-worker check", "finds every mistake; connects to nothing"),
        ("halo-worker test", "runs the examples"),
        ("halo-worker plan computers computer.json", "shows what a message would cause; sends nothing"),
        ("halo-worker sandbox", "runs a simulated Halo, in another terminal"),
        ("WORKER_AMQP_URL=memory:// halo-worker run", "runs the routes against it"),
    ):
        console.print(f"  {command}{f'   # {does}' if does else ''}", soft_wrap=True)
