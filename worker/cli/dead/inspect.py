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
    scene = open_context(route, environment)
    keep = (None if as_json else SHOWN) if limit is None else limit or None
    sieve = LetterSelector(select(tuple(ids), where), scene.clock.now(), scene.codec, keep=keep)
    others = asyncio.run(scan(scene, sieve))
    if as_json:
        letters = [letter_object(each.letter, each.box.queue, sieve.now) for each in sieve.chosen]
        about = {"route": scene.route, "queues": [box.queue for box in scene.boxes], "total": len(sieve.ids), "chosen": sieve.count}
        counts = {"classes": dict(sieve.classes), "replayed": sieve.replayed, "unreadable": dict(sieve.unreadable), "others": others}
        write_json(about | counts | {"letters": letters})
    else:
        print_letters(sieve.chosen, sieve)
        print_counts(scene.route, sieve)
    return GOOD


def show_letters(
    route: str, ids: Sequence[str], where: str | None, limit: int, environment: Mapping[str, str], *, everything: bool, reveal: bool, as_json: bool
) -> int:
    """1 when there is none. Raises as `list_letters`."""
    scene = open_context(route, environment)
    sieve = LetterSelector(require_selection(ids, where, everything=everything), scene.clock.now(), scene.codec, keep=limit, bodies=True)
    asyncio.run(scan(scene, sieve))
    chosen = [(found, found.message) for found in sieve.chosen if found.message is not None]
    if as_json:
        write_json([letter_detail_object(found, message, sieve.now, reveal=reveal) for found, message in chosen])
    else:
        for found, message in chosen:
            print_letter(found, message, sieve.now, reveal=reveal)
    print_unreadable(errors(), sieve)
    if sieve.count > len(chosen):
        errors().print(f"{sieve.count - len(chosen):,} more are not shown: --limit {sieve.count}", soft_wrap=True)
    if not chosen:
        errors().print(f"{scene.route}: no letters", soft_wrap=True)
    return GOOD if chosen else FAILED


async def scan(scene: RouteContext, sieve: LetterSelector) -> bool:
    """Whether somebody else is at the letters."""
    async with scene.broker() as broker, operations.exclusive_access(broker, scene.clock, scene.boxes) as alone:
        if not alone:
            errors().print(LETTERS_IN_USE, soft_wrap=True)
        await scene.looked(broker, sieve)
        return not alone
