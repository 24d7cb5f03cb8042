"""Copies of Halo's documents beside the route files: they hold the parts without a member in route files, and the numbers of names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson

from worker.core.errors import Undecodable, WorkerError
from worker.core.exact_numbers import fragment
from worker.core.json_codec import decode
from worker.core.text_files import UnreadableFile, read_regular
from worker.translation.secrets import marked, stored

FOLDER = "halo"
"""The directory of the copies, inside the directory of the route files; the worker reads no copy."""
MAX_BYTES = 64 * 1024 * 1024
Kind = Literal["runbook", "integration"]


class BrokenCopy(WorkerError):
    """The copy of a document cannot be read."""


@dataclass(frozen=True, slots=True)
class Copy:
    """`document`: as in Halo, with marks for secrets. `names`: of its steps or methods, by number. `methods`: the documents of an integration's methods.

    `added`: steps that the document lacks. `inside`: whether the integration's document held the methods. `client`: of the actions.
    """

    kind: Kind
    document: Mapping[str, Any]
    names: Mapping[int, str] = field(default_factory=dict)
    added: tuple[str, ...] = ()
    methods: tuple[Mapping[str, Any], ...] = ()
    inside: bool = False
    client: str = "main"

    def text(self) -> str:
        names = {str(number): name for number, name in self.names.items()}
        more = {"methods": list(self.methods), "inside": self.inside} if self.kind == "integration" else {"added": list(self.added), "client": self.client}
        return json_text(stored({"document": self.document, "names": names} | more))


def json_text(value: Any) -> str:
    """Return indented JSON, for line-by-line comparison of versions; numbers stay exact."""
    return f"{orjson.dumps(value, fragment, orjson.OPT_INDENT_2).decode()}\n"


def copy_path(directory: Path, kind: Kind, name: str) -> Path:
    return directory / FOLDER / f"{kind}-{name}.json"


def read_copy(directory: Path, kind: Kind, name: str) -> Copy | None:
    """Return the copy; None if there is none. Raises `BrokenCopy`."""
    path = copy_path(directory, kind, name)
    if not path.exists():
        return None
    try:
        content = marked(decode(read_regular(path, MAX_BYTES), MAX_BYTES))
        names = {int(number): str(each) for number, each in content["names"].items()}
        return Copy(
            kind,
            dict(content["document"]),
            names,
            tuple(content.get("added", ())),
            tuple(map(dict, content.get("methods", ()))),
            bool(content.get("inside")),
            str(content.get("client", "main")),
        )
    except (UnreadableFile, Undecodable, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenCopy(f"the copy {path} cannot be read ({type(error).__name__}): restore it, or delete it and export without it") from None


def all_copies(directory: Path, kind: Kind) -> Mapping[str, Copy]:
    """Return all copies by name. Raises `BrokenCopy`."""
    names = sorted(path.name[len(kind) + 1 : -len(".json")] for path in (directory / FOLDER).glob(f"{kind}-*.json")) if (directory / FOLDER).is_dir() else []
    return {name: copy for name in names if (copy := read_copy(directory, kind, name)) is not None}
