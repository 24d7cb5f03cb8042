"""`halo-worker dead list` and `dead show`, and how letters are printed: a table, one letter in full, or JSON."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from worker.app.letters.context import LettersContext
from worker.app.letters.presentation import headers_and_body, properties
from worker.cli.call import one_line, pretty
from worker.cli.console import errors, output, table, write_json
from worker.cli.dead.context import attached, open_context, required_selection, scan, selection
from worker.core.message import Message
from worker.core.topology import EDITED
from worker.flows.dead import operations
from worker.flows.dead.letter import Letter, summary
from worker.flows.dead.letter_selector import LetterSelector, SelectedLetter, shortest_prefixes

MAX_LISTED = 50
MAX_REASON = 200  # characters in the table
MAX_SHOWN_TEXT = 20_000  # characters of one letter in full
AGE_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def list_letters(route: str, ids: Sequence[str], where: str | None, limit: int | None, environment: Mapping[str, str], *, as_json: bool) -> int:
    """Returns the exit code 0. Raises `ConfigError`, `BrokerError`, `NoSuchLetter`."""
    context = open_context(route, environment)
    keep = (None if as_json else MAX_LISTED) if limit is None else limit or None
    selector = LetterSelector(selection(tuple(ids), where), context.clock.now(), context.codec, keep=keep)
    others = asyncio.run(scan_all(context, selector))
    if as_json:
        counts = {"total": len(selector.ids), "chosen": selector.count, "classes": dict(selector.classes), "replayed": selector.replayed}
        letters = [letter_object(each.letter, each.dead_queue.name, selector.now) for each in selector.chosen]
        about = {"route": context.route, "queues": [dead_queue.name for dead_queue in context.dead_queues]}
        write_json(about | counts | {"unreadable": dict(selector.unreadable), "others": others, "letters": letters})
    else:
        print_letters(selector.chosen, selector)
        print_counts(context.route, selector)
    return 0


def show_letters(
    route: str, ids: Sequence[str], where: str | None, limit: int, environment: Mapping[str, str], *, everything: bool, reveal: bool, as_json: bool
) -> int:
    """Returns the exit code: 1 if there is no letter. Raises as `list_letters`."""
    context = open_context(route, environment)
    selector = LetterSelector(required_selection(ids, where, everything=everything), context.clock.now(), context.codec, keep=limit, bodies=True)
    asyncio.run(scan_all(context, selector))
    chosen = [(found, found.message) for found in selector.chosen if found.message is not None]
    if as_json:
        write_json([full_object(found, message, selector.now, reveal=reveal) for found, message in chosen])
    else:
        for found, message in chosen:
            print_letter(found, message, selector.now, reveal=reveal)
    print_unreadable(selector)
    if selector.count > len(chosen):
        errors().print(f"{selector.count - len(chosen):,} more are not shown: --limit {selector.count}", soft_wrap=True)
    if not chosen:
        errors().print(f"{context.route}: no letters", soft_wrap=True)
    return 0 if chosen else 1


async def scan_all(context: LettersContext, selector: LetterSelector) -> bool:
    """Offer all letters to the selector. True if another command holds letters, which the selector then misses."""
    async with attached(context) as broker, operations.exclusive_access(broker, context.clock, context.dead_queues) as exclusive:
        if not exclusive:
            errors().print("another `dead` command holds letters of this route: those are missing here until it ends", soft_wrap=True)
        await scan(context, broker, selector)
        return not exclusive


def print_letters(found: Sequence[SelectedLetter], selector: LetterSelector) -> None:
    """The table. Each id has as many characters as identify it."""
    console = output()
    queues = len({each.dead_queue.name for each in found}) > 1
    edited = any(each.letter.state.edited for each in found)
    columns = ["id", *(["queue"] if queues else []), "age", "class", "status", "attempts", "replays", *(["edited"] if edited else []), "reason"]
    shown = table(console, *columns)
    lengths = shortest_prefixes(selector.ids)
    for each in found:
        letter = each.letter
        cells = [letter.id[: lengths[letter.id]], age(letter.age(selector.now)), str(letter.dead_class), number(letter.status), number(letter.attempts)]
        cells += [number(letter.replays or None), *(["yes" if letter.state.edited else ""] if edited else []), letter.reason]
        if queues:
            cells.insert(1, each.dead_queue.name)
        shown.add_row(*(Text(one_line(cell, MAX_REASON)) for cell in cells))
    if found:
        console.print(shown)


def print_counts(route: str, selector: LetterSelector) -> None:
    """The number of selected letters by class."""
    console = output()
    replayed = f"; {selector.replayed:,} of them replayed before" if selector.replayed else ""
    console.print(f"{route}: {letter_count(selector.count)}{by_class(selector.classes)}{replayed}", soft_wrap=True)
    if selector.keep is not None and selector.count > selector.keep:
        console.print(f"the oldest {selector.keep:,} are shown; --limit 0 shows all", soft_wrap=True)
    print_unreadable(selector)


def print_unreadable(selector: LetterSelector) -> None:
    for reason, count in selector.unreadable.most_common():
        verb = "is" if count == 1 else "are"
        errors().print(f"--where could not be evaluated for {letter_count(count)}, which {verb} left out: {reason}", soft_wrap=True)


def by_class(classes: Counter[str]) -> str:
    return f" ({', '.join(f'{count:,} {name}' for name, count in classes.most_common())})" if classes else ""


def letter_count(count: int) -> str:
    return "no letters" if not count else f"{count:,} letter{'' if count == 1 else 's'}"


def print_letter(found: SelectedLetter, message: Message, now: float, *, reveal: bool) -> None:
    """One letter in full."""
    console, letter = output(), found.letter
    console.print(Text(one_line(letter.id, MAX_SHOWN_TEXT), style="bold"), soft_wrap=True)
    about = {"queue": found.dead_queue.name, "class": letter.dead_class, "reason": letter.reason, "status": letter.status, "attempts": letter.attempts}
    edited = f"by an operator; the original is in {EDITED}" if letter.state.edited else None
    more = {"edited": edited, "replays": letter.replays or None, "age": age(letter.age(now)) or None, "buried": letter.at, **properties(message)}
    for name, value in (about | more).items():
        if value is not None:
            console.print(Text(f"{name:12} {one_line(str(value), MAX_SHOWN_TEXT)}"), soft_wrap=True)
    headers, body = headers_and_body(found.letter, message, reveal=reveal)
    for title, value in (("headers", headers), ("body", body)):
        console.print(Text(title, style="bold"))
        console.print(Text(pretty(value, MAX_SHOWN_TEXT)), soft_wrap=True)


def letter_object(letter: Letter, queue: str, now: float) -> dict[str, Any]:
    """The letter of a list as JSON."""
    return summary(letter, now) | {"buried": letter.at, "queue": queue, "edited": bool(letter.state.edited)}


def full_object(found: SelectedLetter, message: Message, now: float, *, reveal: bool) -> dict[str, Any]:
    """One letter in full as JSON."""
    headers, body = headers_and_body(found.letter, message, reveal=reveal)
    return letter_object(found.letter, found.dead_queue.name, now) | properties(message) | {"headers": headers, "body": body}


def age(seconds: int | None) -> str:
    """Return the age in the largest unit that fits: `3d`."""
    if seconds is None:
        return ""
    return next((f"{seconds // size}{unit}" for unit, size in AGE_UNITS if seconds >= size), "0s")


def number(value: int | None) -> str:
    return "" if value is None else str(value)
