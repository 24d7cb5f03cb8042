"""How dead letters look: a table with counts, one letter in full, and JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from worker.cli.call import one_line, pretty
from worker.cli.console import errors, output, table
from worker.config.jsonable import to_jsonable
from worker.core.jsontext import MAX_DEPTH
from worker.core.message import Message
from worker.core.redaction import redact
from worker.flows.dead.letter import Letter, decoded_body, summary
from worker.flows.dead.letter_selector import LetterSelector, SelectedLetter, shortest_prefixes

REASON_SHOWN = 200
BODY_SHOWN = 20_000
LARGEST_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def print_letters(found: Sequence[SelectedLetter], selector: LetterSelector) -> None:
    """The table; ids are as long as it takes to name one."""
    console = output()
    queues = len({each.dead_queue.name for each in found}) > 1
    shown = table(console, "id", *(["queue"] if queues else []), "age", "class", "status", "attempts", "replays", "reason")
    lengths = shortest_prefixes(selector.ids)
    for each in found:
        letter = each.letter
        cells = [letter.id[: lengths[letter.id]], age(letter.age(selector.now)), str(letter.dead_class), number(letter.status), number(letter.attempts)]
        cells += [number(letter.replays or None), letter.reason]
        if queues:
            cells.insert(1, each.dead_queue.name)
        shown.add_row(*(Text(one_line(cell, REASON_SHOWN)) for cell in cells))
    if found:
        console.print(shown)


def print_counts(route: str, selector: LetterSelector) -> None:
    """How many of each class were chosen, and what cannot be told."""
    console = output()
    console.print(f"{route}: {letter_count(selector.count)}{by_class(selector.classes)}{replayed_before(selector)}", soft_wrap=True)
    if selector.keep is not None and selector.count > selector.keep:
        console.print(f"the oldest {selector.keep:,} are shown; --limit 0 shows all", soft_wrap=True)
    print_unreadable(errors(), selector)


def print_unreadable(console: Console, selector: LetterSelector) -> None:
    for reason, count in selector.unreadable.most_common():
        console.print(f"--where could not be worked out for {letter_count(count)}, which {'is' if count == 1 else 'are'} left out: {reason}", soft_wrap=True)


def replayed_before(selector: LetterSelector) -> str:
    return f"; {selector.replayed:,} of them replayed before" if selector.replayed else ""


def by_class(classes: Counter[str]) -> str:
    return f" ({', '.join(f'{count:,} {name}' for name, count in classes.most_common())})" if classes else ""


def letter_count(count: int) -> str:
    return "no letters" if not count else f"{count:,} letter{'' if count == 1 else 's'}"


def print_letter(found: SelectedLetter, message: Message, now: float, *, reveal: bool) -> None:
    """Everything of one letter."""
    console, letter = output(), found.letter
    console.print(Text(one_line(letter.id, BODY_SHOWN), style="bold"), soft_wrap=True)
    about = {"queue": found.dead_queue.name, "class": letter.dead_class, "reason": letter.reason, "status": letter.status, "attempts": letter.attempts}
    more = {"replays": letter.replays or None, "age": age(letter.age(now)) or None, "buried": letter.at, **properties(message)}
    for name, value in (about | more).items():
        if value is not None:
            console.print(Text(f"{name:12} {one_line(str(value), BODY_SHOWN)}"), soft_wrap=True)
    headers, body = headers_and_body(found.letter, message, reveal=reveal)
    for title, value in (("headers", headers), ("body", body)):
        console.print(Text(title, style="bold"))
        console.print(Text(pretty(value, BODY_SHOWN)), soft_wrap=True)


def letter_object(letter: Letter, queue: str, now: float) -> dict[str, Any]:
    return summary(letter, now) | {"buried": letter.at, "queue": queue}


def letter_detail_object(found: SelectedLetter, message: Message, now: float, *, reveal: bool) -> dict[str, Any]:
    headers, body = headers_and_body(found.letter, message, reveal=reveal)
    return letter_object(found.letter, found.dead_queue.name, now) | properties(message) | {"headers": headers, "body": body}


def properties(message: Message) -> dict[str, Any]:
    return {"correlation_id": message.correlation_id, "reply_to": message.reply_to, "content_type": message.content_type, "type": message.type}


def headers_and_body(letter: Letter, message: Message, *, reveal: bool) -> tuple[Any, Any]:
    """Headers and body, members with a secret's name masked unless they are to be seen."""
    headers = to_jsonable(message.headers)
    body = f"({letter.unread:,} bytes, not read: raise WORKER_MAX_MESSAGE)" if letter.unread else decoded_body(message.body)
    return (headers, body) if reveal else (redact(headers, MAX_DEPTH), redact(body, MAX_DEPTH))


def age(seconds: int | None) -> str:
    """In its largest unit: `3d`."""
    if seconds is None:
        return ""
    return next((f"{seconds // size}{unit}" for unit, size in LARGEST_UNITS if seconds >= size), "0s")


def number(value: int | None) -> str:
    return "" if value is None else str(value)
