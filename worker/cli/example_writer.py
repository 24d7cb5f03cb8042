"""Adds examples to a route in its file, as text: comments and layout of the rest stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
from ruamel.yaml import YAML

from worker.config.config_node import ConfigNode, RouteFile
from worker.config.interpolation import Variables
from worker.config.loader import SUFFIXES
from worker.config.yaml_text import read_yaml
from worker.core.errors import ConfigError

STEP = 2


class NoPlace(ValueError):
    """The layout of the route allows no added example. The text has the example, for adding by hand."""


def add_examples(directory: Path, section: str, name: str, examples: Sequence[dict[str, Any]]) -> tuple[Path, int]:
    """Write the examples at the end of the route. Returns the file and the line of the first one. Raises `NoPlace`."""
    for path in sorted(each for each in directory.iterdir() if each.suffix in SUFFIXES and not each.name.startswith(".")):
        text = path.read_bytes().decode("utf-8-sig")
        route = read_yaml(RouteFile(str(path), text, Variables({}, directory))).child(section).child(name)
        if route.exists:
            lines, number = with_examples(text, route, examples)
            content = "\n".join(lines) + "\n"
            line_end = "\r\n" if "\r\n" in text else "\n"
            check(content, route, len(examples), examples)
            path.write_text(content, "utf-8", newline=line_end)
            return path, number
    raise NoPlace(f"no route file of {directory} has {section}.{name}")


def with_examples(text: str, route: ConfigNode, examples: Sequence[dict[str, Any]]) -> tuple[list[str], int]:
    """Return the lines of the file with the examples, and the number of the examples' first line."""
    lines, existing = text.splitlines(), route.child("examples")
    first = next(iter(route.members.values()), None)
    place = None if first is None else first.key_place
    if place is None or route.key_place is None or place.line == route.key_place.line:
        raise NoPlace(manual_instructions(route, examples))
    indent = place.column - 1
    begin, dash = place.line, indent + STEP
    if existing.exists:
        item = lines[existing.child(0).place.line - 1]
        if existing.key_place is None or not existing.children or not item.lstrip().startswith("- "):
            raise NoPlace(manual_instructions(route, examples))
        begin, dash = existing.key_place.line, len(item) - len(item.lstrip())
    end = end_of_block(lines, begin, indent, items=existing.exists)
    added = [] if existing.exists else [f"{' ' * indent}examples:"]
    for example in examples:
        added += as_item(example, dash)
    number = end + 1 + (not existing.exists)
    return [*lines[:end], *added, *lines[end:]], number


def end_of_block(lines: Sequence[str], begin: int, indent: int, *, items: bool) -> int:
    """Return the line count at the end of the block that begins at line `begin`: the key's value with `items`, otherwise the whole mapping with this indent."""
    end = begin
    for number in range(begin, len(lines)):
        stripped = lines[number].strip()
        if not stripped or stripped.startswith("#"):
            continue
        depth = len(lines[number]) - len(lines[number].lstrip())
        inside = depth > indent or (depth == indent and (stripped.startswith("- ") if items else True))
        if not inside:
            break
        end = number + 1
    return end


def as_item(example: dict[str, Any], indent: int) -> list[str]:
    """Return the example as an item of a list, in block style."""
    yaml, out = YAML(typ="safe", pure=True), StringIO()
    yaml.default_flow_style = False
    yaml.allow_unicode = True
    yaml.width = 4096
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(orjson.loads(orjson.dumps(example)), out)  # copied: a value that occurs twice would become an alias
    first, *rest = out.getvalue().splitlines()
    return [f"{' ' * indent}- {first}", *(f"{' ' * (indent + STEP)}{line}" if line else "" for line in rest)]


def manual_instructions(route: ConfigNode, examples: Sequence[dict[str, Any]]) -> str:
    text = "\n".join(line for example in examples for line in as_item(example, STEP))
    return f"{route.reference()}: the route is not written as a block; add this by hand:\nexamples:\n{text}"


def check(content: str, route: ConfigNode, count: int, examples: Sequence[dict[str, Any]]) -> None:
    """Check that the new text has the added examples. Raises `NoPlace`."""
    try:
        again = read_yaml(RouteFile(route.file.name, content, Variables({}, Path()))).child(str(route.path[0])).child(route.name).child("examples")
    except ConfigError:
        again = ConfigNode(route.file, exists=False)
    if not isinstance(again.value, list) or again.value[-count:] != list(examples):
        raise NoPlace(manual_instructions(route, examples))
