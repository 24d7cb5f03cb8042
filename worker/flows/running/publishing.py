"""Publishes the message of a step: persistent, confirmed, and to a queue; a copy of the step publishes it under the same id."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from worker.config.control_steps import Publication
from worker.config.run_values import Values
from worker.core.errors import BrokerError, ExpressionError, PublishDoubtful, PublishRefused, Unpublishable, Unroutable
from worker.core.header_fields import MAX_COUNT
from worker.core.json_codec import encode
from worker.core.message import Message
from worker.core.outcome import Ambiguous, DeadClass, Done, NotSent, Outcome, Refused
from worker.core.ports import Clock, Evaluator, Publishing
from worker.flows.running.run_message import Run, run_id_of

MAX_KEY = 255  # bytes of AMQP's short string


async def publish(publication: Publication, run: Run, values: Values, broker: Publishing, evaluator: Evaluator, clock: Clock) -> Outcome:
    """Publish the message of a step; return the outcome. Raises `ExpressionError`, `EvaluatorUnavailable`, `Undecodable`."""
    key = await publication.routing_key.fill(values, evaluator)
    if not isinstance(key, str) or len(key.encode()) > MAX_KEY:
        raise ExpressionError(f"`routing_key` must yield a text of at most {MAX_KEY} bytes")
    headers = await publication.headers.fill(values, evaluator) if publication.headers is not None else {}
    body = await publication.body.fill(values, evaluator) if publication.body is not None else None
    message = Message(
        encode(body),
        headers_of(headers),
        message_id=run_id_of(f"publish {run.id}", str(run.visit)),
        correlation_id=run.root,
        timestamp=datetime.fromtimestamp(clock.now(), UTC),
    )
    try:
        await broker.publish(message, routing_key=key, exchange=publication.exchange)
    except Unroutable:
        return Refused(DeadClass.REJECTED, f"exchange {publication.exchange!r} has no queue for the message: bind one for its routing key")
    except Unpublishable as error:
        return Refused(DeadClass.REJECTED, str(error))
    except PublishRefused as error:
        return NotSent(str(error))
    except PublishDoubtful as error:
        return Ambiguous(str(error), repeatable=True, counted=False)
    except BrokerError as error:
        return NotSent(str(error), counted=False)
    return Done("published")


def headers_of(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers, which AMQP must be able to carry unchanged; null is left out. Raises `ExpressionError`."""
    for name, value in given.items():
        if not isinstance(value, (str, bool, float, type(None))) and not (isinstance(value, int) and abs(value) <= MAX_COUNT):
            raise ExpressionError(f"the header {name!r} must yield text, a number of at most 64 bits, true or false")
    return {name: value for name, value in given.items() if value is not None}
