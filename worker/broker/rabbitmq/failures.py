"""Turns the exceptions of aio-pika into the errors of `worker.core.errors`."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from aiormq.exceptions import (
    AMQPConnectionError,
    AMQPError,
    AuthenticationError,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    DeliveryError,
    InvalidFrameError,
    ProbableAuthenticationError,
    PublishError,
)
from yarl import URL

from worker.core.errors import BrokerUnreachable, ChannelLost, PublishDoubtful, PublishRefused, QueueMissing, Unpublishable, Unroutable

FAILURES = (AMQPError, ChannelInvalidStateError, OSError, asyncio.InvalidStateError)
MISSING_QUEUE = re.compile(r"no queue '(?P<name>.*?)' in vhost")
NOT_THERE = re.compile(r"no exchange '(?P<name>.*?)' in vhost")
FORBIDDEN = re.compile(r"access to (?:exchange|topic) '(?P<name>.*?)' .*refused")
OUR_CERTIFICATE = re.compile(r"_ALERT_.*(?:CERTIFICATE|UNKNOWN_CA)")
TOO_LARGE = re.compile(r"message size (?P<size>\d+) .*larger than")


def explain(error: BaseException | type[BaseException] | None) -> str:
    """The reason that the broker or the socket gave, as a short text."""
    if (ended := socket_end(getattr(error, "__cause__", None)) or socket_end(error)) is not None:
        return ended
    if isinstance(error, ChannelInvalidStateError):  # it quotes the object
        return "the channel is closed"
    texts = [argument for argument in getattr(error, "args", ()) if isinstance(argument, str)]
    if texts:
        return " ".join(texts)
    if isinstance(error, asyncio.CancelledError) or error is None:
        return "the connection went away or stopped answering"
    return type(error).__name__


def socket_end(error: object) -> str | None:
    """How the socket ended; None for any other failure. aiormq only quotes Python's exception."""
    match error:
        case ssl.SSLError() | TimeoutError() | socket.gaierror():
            return None
        case asyncio.IncompleteReadError():
            return "the broker, or a proxy before it, closed the connection without a reason"
        case OSError(errno=int()):
            return f"the connection broke ({error.strerror})"
        case _:
            return None


@contextmanager
def naming_bare_errors() -> Iterator[None]:
    """Names the bare `Exception` that aiormq raises to waiting callers when a connection ends without a reason."""
    try:
        yield
    except Exception as error:
        if type(error) is not Exception:
            raise
        raise AMQPConnectionError(explain(None)) from error


@contextmanager
def propagate_cancellation() -> Iterator[None]:
    """Lose no cancellation inside the block. aiormq waits through `asyncio.wait_for`, which in Python 3.11 drops a cancellation that comes with the answer."""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        yield
    except Exception as error:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError from error
        raise
    if task and task.cancelling() > before:
        raise asyncio.CancelledError


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Raise `QueueMissing` or `ChannelLost` for a failure inside the block. `CancelledError` without a cancellation of this task is a lost channel."""
    try:
        with propagate_cancellation(), naming_bare_errors():
            yield
    except ChannelNotFoundEntity as error:
        found = MISSING_QUEUE.search(explain(error))
        if found is None:
            raise ChannelLost(f"{doing}: {explain(error)}") from error
        raise QueueMissing(f"there is no queue {found['name']!r}") from error
    except FAILURES as error:
        raise ChannelLost(f"{doing}: {explain(error)}") from error
    except asyncio.CancelledError as error:
        if asked_to_stop():
            raise
        raise ChannelLost(f"{doing}: {explain(error)}") from error


def asked_to_stop() -> bool:
    """Whether this task was cancelled: aiormq also raises CancelledError to waiting callers when a connection dies."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


@contextmanager
def publishing(exchange: str, routing_key: str, size: int) -> Iterator[None]:
    """Raise the errors that `Channel.publish` documents."""
    place = f"exchange {exchange!r} with routing key {routing_key!r}" if exchange else f"queue {routing_key!r}"
    try:
        with translate_errors(f"the channel was lost while publishing to {place}; the message may be stored"):
            yield
    except QueueMissing as error:
        raise ChannelLost(f"the channel was lost while publishing to {place}, because {error}; the message may be stored") from error
    except ChannelLost as lost:
        cause = lost.__cause__
        if isinstance(cause, TimeoutError):
            raise PublishDoubtful(f"the broker did not confirm a message to {place} in time; it may be stored") from cause
        if isinstance(cause, PublishError):
            raise Unroutable(f"no queue takes messages of {place}") from cause
        if isinstance(cause, DeliveryError):
            raise PublishRefused(f"the broker refused a message to {place}: a queue is full or cannot be reached") from cause
        refused = refusal(cause, exchange, size) if isinstance(cause, AMQPError) else None
        raise refused or lost from cause


def refusal(error: AMQPError, exchange: str, size: int) -> PublishRefused | None:
    """The error when the broker closed the channel because of this message; None when another message in flight, or anything else, was the reason."""
    text = explain(error)
    if (found := NOT_THERE.search(text)) and found["name"] == exchange:
        return PublishRefused(f"there is no exchange {exchange!r}")
    if (found := FORBIDDEN.search(text)) and found["name"] in {exchange, "amq.default"}:
        return PublishRefused(f"the broker's user may not write to exchange {exchange!r}")
    if (found := TOO_LARGE.search(text)) and int(found["size"]) == size:
        return Unpublishable(f"the message has {size:,} bytes; the broker takes fewer (its max_message_size)")
    return None


def unreachable(url: URL, error: BaseException) -> BrokerUnreachable:
    """The error for a failed connection: a sentence that names the obstacle and never the password."""
    place = f"{url.host}:{url.port or (5671 if url.scheme == 'amqps' else 5672)}"
    cause = error.__cause__ if isinstance(error.__cause__, (OSError, EOFError)) and not isinstance(error.__cause__, AMQPError) else error
    vhost = url.path.removeprefix("/") or "/"
    match cause:
        case TimeoutError():
            why = "it does not answer in time"
        case socket.gaierror():
            why = "its name cannot be resolved"
        case ConnectionRefusedError():
            why = "the connection is refused: nothing listens there"
        case FileNotFoundError():
            why = "a certificate file that its address names does not exist"
        case ssl.SSLError() | PermissionError() if cause is error:  # without another cause it is raised only before there is a connection
            why = f"a certificate or key file that its address names cannot be used: {getattr(cause, 'reason', None) or cause.strerror or cause}"
        case ssl.SSLError():
            why = tls_trouble(cause)
        case ConnectionResetError() | EOFError():
            # over TLS 1.3 the connection also ends like this when the broker refuses our certificate and the reset overtakes the alert
            other = "requires a client certificate (certfile and keyfile in its address)" if url.scheme == "amqps" else "speaks TLS there (amqps)"
            why = f"it closed the connection: it is only starting, or {other}"
        case ProbableAuthenticationError() | AuthenticationError():
            why = f"it refuses the user {url.user!r} or the password"
        case InvalidFrameError() if "Connection.OpenOk" in explain(error):  # all that aiormq says about a refused virtual host
            why = f"it has no virtual host {vhost!r}, or the user {url.user!r} may not use it"
        case _:
            why = without_password(explain(error), url)
    return BrokerUnreachable(f"RabbitMQ at {place} cannot be used: {why}")


def without_password(text: str, url: URL) -> str:
    for secret in filter(None, (url.raw_password, url.password)):
        text = text.replace(secret, "***")
    return text


def tls_trouble(error: ssl.SSLError) -> str:
    """What failed in the TLS handshake, or what the server's alert says about our certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if OUR_CERTIFICATE.search(error.reason or ""):
        return f"it requires a client certificate that it accepts ({error.reason}): name one in its address, with certfile and keyfile"
    return f"TLS failed ({error.reason}): is this its TLS port?"
