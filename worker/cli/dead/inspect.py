"""`halo-worker dead list` and `dead show`: letters are looked at and go back as they were."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from worker.cli.console import errors, write_json
from worker.cli.dead.context import LETTERS_IN_USE, RouteContext, open_context, require_selection, select
from worker.cli.dead.view import letter_detail_object, letter_object, print_counts, print_letter, print_letters, print_unreadable
from worker.flows.dead import operations
from worker.flows.dead.letter_selector import LetterSelector

GOOD, FAILED = 0, 1
SHOWN = 50


def list_letters(route: str, ids: Sequence[str], where: str | None, limit: int | None, environment: Mapping[str, str], *, as_json: bool) -> int:
    """Raises `ConfigError`, `BrokerError`, `NoSuchLetter`."""
    context = open_context(route, environment)
    keep = (None if as_json else SHOWN) if limit is None else limit or None
    selector = LetterSelector(select(tuple(ids), where), context.clock.now(), context.codec, keep=keep)
    others = asyncio.run(scan(context, selector))
    if as_json:
        letters = [letter_object(each.letter, each.dead_queue.name, selector.now) for each in selector.chosen]
        about = {
            "route": context.route,
            "queues": [dead_queue.name for dead_queue in context.dead_queues],
            "total": len(selector.ids),
            "chosen": selector.count,
        }
        counts = {"classes": dict(selector.classes), "replayed": selector.replayed, "unreadable": dict(selector.unreadable), "others": others}
        write_json(about | counts | {"letters": letters})
    else:
        print_letters(selector.chosen, selector)
        print_counts(context.route, selector)
    return GOOD


def show_letters(
    route: str, ids: Sequence[str], where: str | None, limit: int, environment: Mapping[str, str], *, everything: bool, reveal: bool, as_json: bool
) -> int:
    """1 when there is none. Raises as `list_letters`."""
    context = open_context(route, environment)
    selector = LetterSelector(require_selection(ids, where, everything=everything), context.clock.now(), context.codec, keep=limit, bodies=True)
    asyncio.run(scan(context, selector))
    chosen = [(found, found.message) for found in selector.chosen if found.message is not None]
    if as_json:
        write_json([letter_detail_object(found, message, selector.now, reveal=reveal) for found, message in chosen])
    else:
        for found, message in chosen:
            print_letter(found, message, selector.now, reveal=reveal)
    print_unreadable(errors(), selector)
    if selector.count > len(chosen):
        errors().print(f"{selector.count - len(chosen):,} more are not shown: --limit {selector.count}", soft_wrap=True)
    if not chosen:
        errors().print(f"{context.route}: no letters", soft_wrap=True)
    return GOOD if chosen else FAILED


async def scan(context: RouteContext, selector: LetterSelector) -> bool:
    """Whether somebody else is at the letters."""
    async with context.broker() as broker, operations.exclusive_access(broker, context.clock, context.dead_queues) as alone:
        if not alone:
            errors().print(LETTERS_IN_USE, soft_wrap=True)
        await context.scan(broker, selector)
        return not alone
