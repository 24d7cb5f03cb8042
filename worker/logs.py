"""Logs: one line per event on standard error, JSON for machines or coloured for people, with secrets taken out last."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from worker.core.printable import printable, printable_json
from worker.core.redaction import redact

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["json", "console"]

QUIET = ("aio_pika", "aiormq", "aiohttp.access", "asyncio")  # their lower levels log frames and callbacks, which include credentials
SILENT = ("aiormq.connection", "aio_pika.channel")  # the worker logs failed connections itself, with the remedy
FRAMES = 30
TRACES = frozenset(("exception", "stack"))


def configure(
    level: Level = "info", form: Format | None = None, stream: TextIO | None = None, hide: Callable[[str], str] = str, *, final: bool = False
) -> None:
    """Set up structlog and the standard library's logging; `form` None: console when `stream` (standard error) is a terminal, else JSON.

    `hide` masks known secrets in each finished line. `final`: loggers keep this configuration, which saves a lookup for each line.
    """
    stream = stream or sys.stderr
    form = form or ("console" if stream.isatty() else "json")
    threshold = logging.getLevelNamesMapping()[level.upper()]
    common, last = (
        _common_processors(form),
        [redact_event, *([printable_event] if form == "console" else []), _renderer(form, stream), lambda _, __, line: hide(str(line))],
    )
    structlog.configure(
        processors=[*common, *last],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=final,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *common],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(handlers=[handler], level=threshold, force=True)
    logging.captureWarnings(capture=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)


def redact_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Remove secrets, as the last step before rendering, so that no later step adds any."""
    cleaned: EventDict = redact(event)
    return cleaned


def printable_event(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Make an event safe for a terminal: data can neither control it nor begin a new line. A traceback keeps its lines."""
    return {printable(str(name), lines=False): _printable(value, lines=name in TRACES) for name, value in event.items()}


def _printable(value: Any, *, lines: bool = False) -> Any:
    if isinstance(value, str):
        return printable(value, lines=lines)
    if isinstance(value, Mapping):
        return {printable(str(name), lines=False): _printable(member) for name, member in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list | tuple) else value


def _common_processors(form: Format) -> list[Processor]:
    as_data = ExceptionDictTransformer(show_locals=False, max_frames=FRAMES)  # structlog's own preset prints local variables
    exception = structlog.processors.ExceptionRenderer(as_data) if form == "json" else structlog.processors.format_exc_info
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        exception,
    ]


def _renderer(form: Format, stream: TextIO) -> Processor:
    if form == "console":
        return structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=24)
    return structlog.processors.JSONRenderer(serializer=to_json)


def to_json(event: EventDict, **_: Any) -> str:
    """One line of JSON for any event: logging must never fail."""
    try:
        text = orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # lone surrogates, integers beyond 64 bits
        text = orjson.dumps({ascii(name).strip("'"): _writable(value) for name, value in event.items()}, default=str).decode()
    return printable_json(text)


def _writable(value: Any) -> Any:
    try:
        orjson.dumps(value, default=str)
    except TypeError:
        return ascii(value)
    return value
