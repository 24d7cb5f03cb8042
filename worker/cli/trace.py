"""`halo-worker trace`: prints the story of one record from the poll to Halo and back, from the workers' notes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from worker.broker.open import MEMORY, open_broker
from worker.catalogue.errors import UnknownEntity
from worker.cli.call import one_line
from worker.cli.console import errors, output, table, write_json
from worker.cli.dead.context import UsageError
from worker.core.clock import SystemClock
from worker.core.errors import WorkerError
from worker.core.header_codec import HeaderCodec
from worker.core.ports import Broker
from worker.flows.story import Subject, Told, story_of
from worker.logs import configure
from worker.settings import load_settings
from worker.state.keys import shared_key
from worker.state.trace_stream import read_notes

PLAIN = frozenset({"v", "t", "e", "r", "m", "c", "s", "i"})
LONGEST = 200
STYLES = {"dead": "red", "parked": "red", "unrouted": "red", "retried": "yellow", "written": "green", "done": "green"}
NOTHING = "nothing is known of it: it still waits in its queue (see `halo-worker status`), it is older than the stream halo.trace, or WORKER_TRACE is off"


def trace(subject: str, record: str | None, environment: Mapping[str, str], *, as_json: bool) -> int:
    """Returns the exit code: 1 if there is no story. Raises `ConfigError`, `BrokerError`."""
    settings = load_settings(environment)
    configure("warning", settings.log_format)
    wanted = subject_of(subject, record)
    url = settings.amqp_url.get_secret_value()
    if url.startswith(MEMORY):
        raise UsageError("memory:// exists within one process and keeps no trace: set the URL of the broker that the worker uses", "WORKER_AMQP_URL")
    notes = asyncio.run(read(url, settings.heartbeat, wanted))
    if as_json:
        write_json({"notes": [note_object(note) for note in notes]})
    elif notes:
        print_story(notes)
    else:
        errors().print(NOTHING, soft_wrap=True)
    return 0 if notes else 1


def subject_of(subject: str, record: str | None) -> Subject:
    """Return the subject: a record if there are two words, otherwise any id of a message. Raises `UsageError`."""
    if not subject or record == "":
        raise UsageError("an id cannot be empty")
    try:
        return Subject.of(subject, record)
    except UnknownEntity as error:
        raise UsageError(str(error), "ENTITY") from None


async def read(url: str, heartbeat: int, wanted: Subject) -> list[Told]:
    async with open_broker(url, name="halo-worker trace", heartbeat=heartbeat) as broker:
        return story_of(await batches_of(broker, HeaderCodec(await shared_key(broker, SystemClock()))), wanted)


async def batches_of(broker: Broker, codec: HeaderCodec) -> list[bytes]:
    """Return the batches of the trace. Raises `WorkerError` when the stream cannot be read in time."""
    try:
        return await read_notes(broker, codec)
    except TimeoutError:
        raise WorkerError("the stream halo.trace could not be read in a minute: check the broker with `halo-worker doctor`") from None


def note_object(note: Told) -> dict[str, Any]:
    """Return a note with full names."""
    about = {"at": iso(note["t"]), "event": note["e"], "route": note["r"], "message_id": note.get("m"), "correlation_id": note.get("c")}
    named = {"entity": note.get("s"), "records": note.get("i")}
    return {name: value for name, value in (about | named | details(note)).items() if value is not None}


def details(note: Told) -> dict[str, Any]:
    return {name: value for name, value in note.items() if name not in PLAIN}


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def print_story(notes: Sequence[Told]) -> None:
    console = output()
    shown = table(console, "time", "what", "route", "record", "message", "details")
    for note in notes:
        records = " ".join(note.get("i", ()))
        record = f"{note['s']} {records}" if note.get("s") and records else ""
        told = ", ".join(f"{name} {value}" for name, value in details(note).items())
        cells = [iso(note["t"]), note["e"], note["r"], record, note.get("m", ""), told]
        shown.add_row(*(Text(one_line(str(cell), LONGEST), style=STYLES.get(note["e"], "") if cell == note["e"] else "") for cell in cells))
    console.print(shown)
    ids = list(dict.fromkeys(note["c"] for note in notes if note.get("c")))
    if ids:
        console.print(Text(f"correlation ids: {' '.join(one_line(each, LONGEST) for each in ids)}"), soft_wrap=True)
