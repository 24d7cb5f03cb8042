"""`halo-worker dead list` without a route: the dead letters of every route, oldest first, with a count for each route."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from rich.text import Text

from worker.app.letters.context import LettersContext
from worker.cli.call import one_line
from worker.cli.console import errors, output, table, write_json
from worker.cli.dead.context import attached, open_context, selection
from worker.cli.dead.inspect import MAX_LISTED, MAX_REASON, age, by_class, letter_count, letter_object, print_unreadable
from worker.core.ports import Broker, Evaluator
from worker.flows.dead import operations
from worker.flows.dead.letter import DeadQueue
from worker.flows.dead.letter_selector import LetterSelector, SelectedLetter, Selection, shortest_prefixes

FIRST = datetime.min.replace(tzinfo=UTC)


def list_all_routes(where: str | None, limit: int | None, environment: Mapping[str, str], *, as_json: bool) -> int:
    """Returns the exit code 0. Raises `ConfigError`, `BrokerError`."""
    context = open_context(None, environment)
    keep = (None if as_json else MAX_LISTED) if limit is None else limit or None
    found = asyncio.run(scan_routes(context, selection((), where), keep))
    shown = sorted((each for selector in found.values() for each in selector.chosen), key=lambda each: each.letter.at or FIRST)[:keep]
    if as_json:
        write_json(list_object(context, found, shown))
    else:
        print_all(found, shown)
    return 0


async def scan_routes(context: LettersContext, wanted: Selection, keep: int | None) -> dict[str, LetterSelector]:
    """Return the selected letters by route; a route without letters is left out."""
    found: dict[str, LetterSelector] = {}
    async with attached(context) as broker, context.evaluator() as evaluator:
        for route, group in groupby(context.dead_queues, key=lambda dead_queue: dead_queue.route):
            queues = list(group)
            if sum([await broker.queue_depth(each.name) or 0 for each in queues]):
                found[route] = LetterSelector(wanted, context.clock.now(), context.codec, keep=keep)
                await scan_route(context, broker, evaluator, queues, found[route])
    return found


async def scan_route(context: LettersContext, broker: Broker, evaluator: Evaluator, queues: list[DeadQueue], selector: LetterSelector) -> None:
    selector.evaluator = evaluator
    async with operations.exclusive_access(broker, context.clock, queues) as exclusive:
        if not exclusive:
            errors().print(f"{queues[0].route}: another `dead` command holds letters of this route: those are missing here until it ends", soft_wrap=True)
        await operations.scan_letters(broker, context.clock, queues, selector, lambda _: None, largest=context.settings.max_message)


def list_object(context: LettersContext, found: Mapping[str, LetterSelector], shown: list[SelectedLetter]) -> dict[str, Any]:
    """Return the JSON of the list: like that of one route, with the route of each letter."""
    routes = {route: {"chosen": selector.count, "classes": dict(selector.classes)} for route, selector in found.items()}
    counts = {"total": sum(len(selector.ids) for selector in found.values()), "chosen": sum(selector.count for selector in found.values())}
    unreadable = sum((selector.unreadable for selector in found.values()), Counter[str]())
    letters = [{"route": each.dead_queue.route} | letter_object(each.letter, each.dead_queue.name, context.clock.now()) for each in shown]
    return counts | {"routes": routes, "unreadable": dict(unreadable), "letters": letters}


def print_all(found: Mapping[str, LetterSelector], shown: list[SelectedLetter]) -> None:
    """Print the table, then a line for each route."""
    console = output()
    rows = table(console, "route", "id", "age", "class", "status", "replays", "reason")
    lengths = {route: shortest_prefixes(selector.ids) for route, selector in found.items()}
    for each in shown:
        letter, route = each.letter, each.dead_queue.route
        status, replays = ("" if value is None else str(value) for value in (letter.status, letter.replays or None))
        cells = [route, letter.id[: lengths[route][letter.id]], age(letter.age(found[route].now)), str(letter.dead_class), status, replays, letter.reason]
        rows.add_row(*(Text(one_line(cell, MAX_REASON)) for cell in cells))
    if shown:
        console.print(rows)
    total = sum(selector.count for selector in found.values())
    for route, selector in found.items():
        console.print(f"{route}: {letter_count(selector.count)}{by_class(selector.classes)}", soft_wrap=True)
        print_unreadable(selector)
    if not found:
        console.print(letter_count(0), soft_wrap=True)
    elif total > len(shown):
        console.print(f"the oldest {len(shown):,} of {total:,} are shown; --limit 0 shows all", soft_wrap=True)
