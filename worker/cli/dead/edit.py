"""`halo-worker dead edit`: changes the body of one letter, shows the difference, puts the letter back, and keeps the original."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Any

import orjson
from rich.text import Text

from worker.app.letters.context import LettersContext
from worker.app.letters.letter_operations import LOCKED, LettersLocked, edit_operation, settle
from worker.cli.console import errors, output, write_json
from worker.cli.dead.apply import ApplyOptions
from worker.cli.dead.context import UsageError, attached, confirm, open_context, scan, selection
from worker.core.errors import BrokerError, Undecodable
from worker.core.exact_numbers import dumps
from worker.core.json_codec import MAX_DEPTH, decode, encode
from worker.core.known_secrets import redacted
from worker.core.printable import printable
from worker.flows.dead import operations
from worker.flows.dead.edit import CannotSet, Step, with_value
from worker.flows.dead.letter import decoded_body
from worker.flows.dead.letter_selector import LetterSelector, SelectedLetter
from worker.flows.dead.plan import Retain, incomplete_letter

STEP = re.compile(r"\[(?P<index>\d+)\]|(?:^|\.)(?P<name>[^.\[\]=]+)")
STYLES = {"+": "green", "-": "red", "@": "cyan"}


def edit_letter(route: str, letter: str, changes: Sequence[str], file: Path | None, environment: Mapping[str, str], *, options: ApplyOptions) -> int:
    """Returns the exit code: 1 if nothing was changed. Raises `ConfigError`, `BrokerError`, `NoSuchLetter`, `LettersLocked`."""
    context = open_context(route, environment)
    if changes and file is not None:
        raise UsageError("--set and --file exclude each other: choose one")
    if not letter:
        raise UsageError("an id cannot be empty")
    terminal = sys.stdin.isatty()
    if not (options.yes or options.dry_run or terminal):
        raise UsageError("standard input is not a terminal, so the command cannot ask: add --yes to change the letter, or --dry-run to see the difference")
    if not (changes or file or terminal):
        raise UsageError("say what to change: --set payload.client_id=12, or --file FILE; $EDITOR needs a terminal")
    return asyncio.run(edit(context, letter, changes, file, options))


async def edit(context: LettersContext, letter: str, changes: Sequence[str], file: Path | None, options: ApplyOptions) -> int:
    async with attached(context) as broker, operations.exclusive_access(broker, context.clock, context.dead_queues) as exclusive:
        if not exclusive:
            raise LettersLocked(LOCKED)
        selector = LetterSelector(selection((letter,), None), context.clock.now(), context.codec, keep=2, bodies=True)
        await scan(context, broker, selector)
        found = selected_letter(selector)
        before = decoded_body(found.message) if found.message is not None else None
        after = read_back(before, changes, file, os.environ)
        body = encode(after)
        difference = lines_of(before, after)
        if not difference:
            errors().print("nothing was changed: the body is the same")
            return 1
        if not options.as_json:
            for line in difference:
                output().print(Text(printable(line), style=STYLES.get(line[:1], "")), soft_wrap=True)
        if options.dry_run:
            return report_edit(context, found, difference, 0, options, "would be edited; nothing was changed (--dry-run)")
        if not options.yes and not await confirm(f"Edit letter {found.letter.id} of {context.route}?"):
            errors().print("nothing was changed")
            return 1
        work = edit_operation(context, found.dead_queue, body)
        async with context.evaluator() as evaluator:
            tally, error = await settle(context, broker, evaluator, work, selector.fingerprints, (), asyncio.Event())
        if error:
            raise BrokerError(error)
        if not tally.removed:
            errors().print("nothing was changed: " + ("; ".join(kept.reason for kept in tally.kept) or "the letter is gone"), soft_wrap=True)
            return 1
        return report_edit(context, found, difference, 0, options, f"edited; replay it with `halo-worker dead replay {context.route} {found.letter.id}`")


def selected_letter(selector: LetterSelector) -> SelectedLetter:
    """Return the one selected letter, complete. Raises `UsageError`."""
    if selector.count != 1:
        raise UsageError(f"{selector.count} letters have this id: an edit takes one; discard the others first")
    found = selector.chosen[0]
    if isinstance(keep := incomplete_letter(found.letter), Retain):
        raise UsageError(f"the letter cannot be edited: {keep.reason}")
    return found


def read_back(before: Any, changes: Sequence[str], file: Path | None, environment: Mapping[str, str]) -> Any:
    """Return the new body. Raises `UsageError`."""
    if changes:
        return apply_changes(before, changes)
    if file is not None:
        try:
            text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        except OSError as error:
            raise UsageError(f"the file cannot be read: {(error.strerror or 'unknown reason').lower()}", "--file") from None
        return parsed(text, "--file")
    with tempfile.TemporaryDirectory(prefix="halo-worker-") as folder:  # readable for its owner only
        path = Path(folder) / "letter.json"
        path.write_bytes(dumps(before, orjson.OPT_INDENT_2) + b"\n" if not isinstance(before, str) else before.encode())
        editor = environment.get("VISUAL") or environment.get("EDITOR") or "vi"
        try:
            ended = subprocess.run([*shlex.split(editor), str(path)], check=False)  # noqa: S603 - the operator's own editor
        except (OSError, ValueError):
            raise UsageError(f"the editor {editor!r} cannot be started: set EDITOR, or use --set or --file", "EDITOR") from None
        if ended.returncode:
            raise UsageError(f"the editor ended with {ended.returncode}; nothing was changed", "EDITOR")
        return parsed(path.read_bytes(), "EDITOR")


def parsed(text: bytes, place: str) -> Any:
    try:
        return decode(text)
    except Undecodable as error:
        raise UsageError(f"the new body is not JSON: {error}", place) from None


def apply_changes(before: Any, changes: Sequence[str]) -> Any:
    """Return the body with every `PATH=VALUE` applied in order. Raises `UsageError`."""
    after = before
    for change in changes:
        path, given, value = change.partition("=")
        steps = steps_of(path)
        if not given or not steps:
            raise UsageError(f"a change is PATH=VALUE such as payload.client_id=12 or payload.lines[0].count=2, not {change.partition('=')[0][:40]!r}", "--set")
        try:
            after = with_value(after, steps, value_of(value))
        except CannotSet as error:
            raise UsageError(f"{path}: {error}", "--set") from None
    return after


def steps_of(path: str) -> list[Step]:
    """Return the steps of a path such as `payload.lines[0].count`; empty for an invalid path."""
    found = list(STEP.finditer(path))
    if "".join(each[0] for each in found) != path:
        return []
    return [int(each["index"]) if each["index"] else each["name"] for each in found]


def value_of(text: str) -> Any:
    """Return the JSON value if the text parses, otherwise the text."""
    try:
        return decode(text.encode())
    except Undecodable:
        return text


def lines_of(before: Any, after: Any) -> list[str]:
    """Return the difference, with likely secrets masked. If only a secret changed, the lines still show that there is a change."""
    old, new = ([] if each is None else display_lines(redacted(each, MAX_DEPTH)) for each in (before, after))
    lines = list(unified_diff(old, new, "letter", "edited", lineterm=""))
    return lines or ([] if dumps(before) == dumps(after) else ["(a masked value changes)"])


def display_lines(value: Any) -> list[str]:
    return (value if isinstance(value, str) else dumps(value, orjson.OPT_INDENT_2).decode()).splitlines()


def report_edit(context: LettersContext, found: SelectedLetter, difference: Sequence[str], code: int, options: ApplyOptions, sentence: str) -> int:
    if options.as_json:
        write_json({"route": context.route, "id": found.letter.id, "dry_run": options.dry_run, "difference": list(difference)})
    else:
        output().print(f"{context.route}: letter {found.letter.id} {sentence}", soft_wrap=True)
    return code
