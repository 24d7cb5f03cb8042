"""Reads one dead letter in full from its queue, with what a replay would do. All letters go back to the queue."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

import orjson

from worker.app.letters.context import LettersContext
from worker.app.letters.letter_operations import LOCKED, LettersLocked
from worker.app.letters.presentation import headers_and_body, properties
from worker.app.page.letter_index import MAX_LETTERS
from worker.core.exact_numbers import dumps
from worker.core.message import Announced, Delivery, Message
from worker.core.ports import Broker, Clock
from worker.flows.dead import operations
from worker.flows.dead.letter import DeadQueue, Letter, decoded_body, letter_of
from worker.flows.dead.plan import SENDING_KINDS, MarkDone, Replay, ReplayPlan, Retain, incomplete_letter, planner
from worker.flows.dead.queue_scan import open_scan
from worker.web.page.model import LetterContent, LetterRow

MAX_BODY = 512 * 1024  # bytes of a body that the page shows: masking and writing a larger one would block the worker
MAX_SHOWN = 100_000  # characters that are shown
MAX_EDITED = 200_000  # characters of a body that a form takes
SEARCHED = MAX_LETTERS + 1000  # letters; since the list was made, other letters may have arrived before it


async def read_letter_content(broker: Broker, clock: Clock, context: LettersContext, row: LetterRow) -> LetterContent | None:
    """Return the letter of a row; None if it is gone. Raises `BrokerError`, `LettersLocked`."""
    dead_queue = next((each for each in context.dead_queues if each.name == row.queue), None)
    if dead_queue is None:
        return None

    def wanted(announced: Announced) -> bool:
        return announced.message_id in {row.id, ""} and announced.size <= context.settings.max_message

    async with operations.exclusive_access(broker, clock, context.dead_queues) as exclusive:
        if not exclusive:
            raise LettersLocked(LOCKED)
        async with (
            open_scan(broker, clock, dead_queue.name, keep=wanted, most=SEARCHED) as scan,
            aclosing(scan.deliveries()) as deliveries,
        ):
            async for delivery in deliveries:
                letter = letter_of(dead_queue, delivery.message, context.codec, delivery.dropped_body)
                if letter.fingerprint.hex() == row.key:
                    return await asyncio.to_thread(described_letter, context, dead_queue, letter, delivery)
    return None


def described_letter(context: LettersContext, dead_queue: DeadQueue, letter: Letter, delivery: Delivery) -> LetterContent:
    message = delivery.message
    large = len(message.body) > MAX_BODY
    headers, body = headers_and_body(letter, replace(message, body=b"null") if large else message, reveal=False)
    if large:
        body = f"({len(message.body):,} bytes, too large for this page: `halo-worker dead show --json`)"
    plan = incomplete_letter(letter) or planner(dead_queue, context.routes, None)(letter, message)
    if dead_queue.kind == "orphaned":
        plan = Retain("no route in the route files has this dead queue: restore the route to replay its letters, or discard them")
    return LetterContent(
        shortened(text_of(headers)),
        shortened(text_of(body)),
        "" if large else editable(letter, message),
        {name: value for name, value in properties(message).items() if value is not None},
        replay_sentence(plan, dead_queue),
        needs_verdict=letter.effect_unknown and dead_queue.kind in SENDING_KINDS,
    )


def replay_sentence(plan: ReplayPlan, dead_queue: DeadQueue) -> str:
    """Return a sentence that says what a replay does."""
    match plan:
        case Retain(reason):
            return f"A replay leaves it: {reason}."
        case MarkDone():
            return "A replay takes it as done and sends nothing."
        case Replay() if dead_queue.home is not None:
            return f"A replay puts it back into {dead_queue.home}, as a new attempt with the route as it is now. Other queues do not get it."
        case Replay():
            return f"A replay publishes what {dead_queue.route} makes of it with the route as it is now."


def editable(letter: Letter, message: Message) -> str:
    """Return the JSON text of the body; empty if the body is incomplete, too long, or not JSON."""
    body = None if incomplete_letter(letter) else decoded_body(message)
    if body is None or isinstance(body, str):
        return ""
    text = text_of(body)
    return text if len(text) <= MAX_EDITED else ""


def text_of(value: object) -> str:
    return value if isinstance(value, str) else dumps(value, orjson.OPT_INDENT_2).decode()


def shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}\n… {len(text) - MAX_SHOWN:,} more characters: `halo-worker dead show --json`"
