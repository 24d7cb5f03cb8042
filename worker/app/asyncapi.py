"""The AsyncAPI 3 document of the routes: the queues and exchanges that other systems use, and the content of their messages.

Source of the form: the AsyncAPI specification 3.0.0 and the AMQP bindings 0.3.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from worker import __version__
from worker.config.control_steps import Publication
from worker.config.reports import PATH
from worker.config.routes import Publisher, Routes, Subscriber
from worker.core import topology
from worker.core.broker_addresses import addresses_of
from worker.core.outcome import DeadClass
from worker.core.results import RESULT_TYPE
from worker.core.topology import AmqpExchange, event_exchange
from worker.flows.polling.events import TYPE_PREFIX
from worker.flows.running.run_message import run_queue

VERSION, BINDING = "3.0.0", "0.3.0"
CHANGES = ["created", "updated", "deleted", "backfilled"]
UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
SHAPED = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "path": {"type": "object", "description": "Values for the braces of the entity's path."},
        "query": {"type": "object", "description": "Query parameters of the request."},
        "payload": {"description": "One record, or an array of records, as Halo takes them.", "type": ["object", "array"]},
    },
}
EVENT_HEADERS = {
    "type": "object",
    "description": "CloudEvents 1.0 in binary mode.",
    "required": ["cloudEvents_specversion", "cloudEvents_id", "cloudEvents_source", "cloudEvents_type", "dedupe-key"],
    "properties": {
        "cloudEvents_specversion": {"const": "1.0"},
        "cloudEvents_id": TEXT,
        "cloudEvents_source": {"type": "string", "format": "uri-reference"},
        "cloudEvents_type": TEXT,
        "cloudEvents_subject": {"type": "string", "description": "The key of the record."},
        "cloudEvents_time": {"type": "string", "format": "date-time"},
        "cloudEvents_backfill": {"type": "string", "description": "The id of the backfill that read the record; absent on live events."},
        "dedupe-key": {"type": "string", "description": "Equal on copies of one event."},
    },
}
DEAD_HEADERS = {
    "type": "object",
    "required": ["dead-class"],
    "properties": {
        "dead-class": TEXT,
        "dead-reason": TEXT,
        "dead-status": COUNT,
        "dead-attempts": COUNT,
        "dead-route": TEXT,
        "dead-at": {"type": "string", "format": "date-time"},
        "original-exchange": TEXT,
        "original-routing-key": TEXT,
        "replays": COUNT,
    },
}
RESULT: dict[str, Any] = {
    "name": RESULT_TYPE,
    "title": "The result of a message",
    "correlationId": {"location": "$message.header#/correlation_id"},
    "payload": {
        "type": "object",
        "required": ["outcome", "route", "message_id"],
        "properties": {
            "outcome": {"enum": ["done", "skipped", "dead"]},
            "route": TEXT,
            "message_id": {"type": "string", "description": "Of the message that this is the result of."},
            "id": {"type": ["integer", "string"], "description": "Halo's id of the record."},
            "status": COUNT,
            "class": {"enum": [each.value for each in DeadClass], "description": "Why the message is a dead letter."},
            "reason": TEXT,
        },
    },
}


@dataclass(frozen=True, slots=True)
class ChannelUse:
    """One channel with its one message. `action`: what the worker does there; None: only other systems use the channel."""

    name: str
    channel: dict[str, Any]
    message: str
    action: str | None
    summary: str


def document_of(routes: Routes, amqp_url: str) -> dict[str, Any]:
    """Return the document as JSON values. It holds host, port and virtual host of the broker's address, and no credentials."""
    places = [*events(routes), *inputs(routes), *results(routes), *dead_letters(routes)]
    messages: dict[str, Any] = dict(messages_of(routes))
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "halo-worker routes",
            "version": __version__,
            "description": "Queues and exchanges of the route files. The worker's own state is left out.",
        },
        **servers(amqp_url),
        "defaultContentType": "application/json",
        "channels": {place.name: place.channel | {"messages": {place.message: {"$ref": f"#/components/messages/{place.message}"}}} for place in places},
        "operations": {
            f"{place.action}.{place.name}": {
                "action": place.action,
                "summary": place.summary,
                "channel": {"$ref": f"#/channels/{place.name}"},
                "messages": [{"$ref": f"#/channels/{place.name}/messages/{place.message}"}],
            }
            for place in places
            if place.action is not None
        },
        "components": {"messages": messages},
    }


def servers(amqp_url: str) -> dict[str, Any]:
    """Return the servers of the document; empty for the embedded broker."""
    urls = [urlsplit(address) for address in addresses_of(amqp_url)]
    if urls[0].scheme not in {"amqp", "amqps"}:
        return {}
    named = zip(("broker", *(f"broker-{number}" for number in range(2, len(urls) + 1))), urls, strict=True)
    return {"servers": {name: server_of(url) for name, url in named}}


def server_of(url: SplitResult) -> dict[str, Any]:
    host = (url.hostname or "localhost") + (f":{url.port}" if url.port else "")
    return {"host": host, "protocol": url.scheme, "pathname": url.path or "/"}


def events(routes: Routes) -> Iterator[ChannelUse]:
    """Yield the messages that subscribers, webhooks and steps of runbooks publish."""
    for route in routes.subscribers.values():
        name = key_of("subscriber", route.name)
        yield ChannelUse(name, exchange_channel(event_exchange(route.exchange), *address_of(route)), name, "send", f"Changes of {records_of(route)} in Halo.")
        if route.queue is not None:
            yield ChannelUse(key_of("queue", route.queue), queue_channel(route.queue), name, None, "")
    for hook in routes.webhooks.values():
        if hook.exchange is not None:
            name = key_of("webhook", hook.name)
            fixed = (f"webhooks.{hook.name}", {}) if hook.routing_key is None else free_key()
            yield ChannelUse(name, exchange_channel(event_exchange(hook.exchange), *fixed), name, "send", "Deliveries of Halo, as events.")
    for key, runbook, step, publication in publications(routes):
        channel = exchange_channel(event_exchange(publication.exchange), *free_key())
        yield ChannelUse(key, channel, key, "send", f"What step {step} of runbook {runbook} publishes.")


def publications(routes: Routes) -> Iterator[tuple[str, str, str, Publication]]:
    """The steps that publish: key, runbook, step and message."""
    for runbook in routes.runbooks.values():
        for step in runbook.steps.values():
            if step.publish is not None:
                yield key_of("step", f"{runbook.name}.{step.name}"), runbook.name, step.name, step.publish


def inputs(routes: Routes) -> Iterator[ChannelUse]:
    """Yield the messages that publishers and runbooks consume."""
    for route in routes.publishers.values():
        name = key_of("publisher", route.name)
        method, entity = route.operation.method, route.operation.entity
        yield ChannelUse(key_of("queue", route.queue), queue_channel(route.queue), name, "receive", f"Each message becomes one {method} of {entity}.")
        for number, source in enumerate(route.bind):
            channel = exchange_channel(source.exchange, source.routing_key, {})
            yield ChannelUse(f"{name}.source{number}", channel, name, None, "")
    for runbook in routes.runbooks.values():
        if runbook.queue is not None:
            name = key_of("runbook", runbook.name)
            yield ChannelUse(key_of("queue", runbook.queue), queue_channel(runbook.queue), name, "receive", "Each message starts a run.")
            for number, source in enumerate(runbook.bind):
                yield ChannelUse(f"{name}.source{number}", exchange_channel(source.exchange, source.routing_key, {}), name, None, "")


def results(routes: Routes) -> Iterator[ChannelUse]:
    """Yield the results that publishers send. Replies are left out: they go to addresses that only the senders know."""
    for route in routes.publishers.values():
        if route.result is not None:
            name = key_of("result", route.name)
            yield ChannelUse(
                name, exchange_channel(event_exchange(route.result.exchange), route.result.routing_key, {}), "result", "send", "What became of each message."
            )
            if route.result.queue is not None:
                yield ChannelUse(key_of("queue", route.result.queue), queue_channel(route.result.queue), "result", None, "")


def dead_letters(routes: Routes) -> Iterator[ChannelUse]:
    queues = [topology.dead_queue(route.queue) for route in routes.publishers.values()]
    queues += [topology.dead_queue(runbook.queue) for runbook in routes.runbooks.values() if runbook.queue is not None]
    queues += [topology.dead_queue(run_queue(name)) for name in routes.runbooks]
    queues += [topology.subscriber_dead_queue(name) for name in (*routes.subscribers, *routes.webhooks)]
    for queue in dict.fromkeys(queues):
        yield ChannelUse(key_of("dead", queue), queue_channel(queue), "dead-letter", "send", "What could not be done, with the reason.")
    if routes.subscribers:
        yield ChannelUse("unrouted", queue_channel(topology.UNROUTED), "unrouted", "send", "Events that no queue took.")


def messages_of(routes: Routes) -> Iterator[tuple[str, dict[str, Any]]]:
    for route in routes.subscribers.values():
        record: dict[str, Any] = {"type": "object", "description": f"A record of {records_of(route)}; a deleted one has its key only."}
        payload = record if route.transform is None else {"description": "What `transform` of the route yields."}
        title = f"{TYPE_PREFIX}.{route.operation.resource}.…"
        yield key_of("subscriber", route.name), {"title": title, "headers": EVENT_HEADERS, "payload": payload} | examples(route)
    for hook in routes.webhooks.values():
        if hook.exchange is not None:
            yield key_of("webhook", hook.name), {"headers": EVENT_HEADERS, "payload": {"type": "object", "description": "A delivery of Halo."}}
    for key, _, step, _ in publications(routes):
        yield key, {"payload": {"description": f"What `body` of step {step} yields."}}
    for publisher in routes.publishers.values():
        taken = SHAPED if publisher.transform is None else {"description": "What `transform` of the route takes: any JSON."}
        yield key_of("publisher", publisher.name), {"payload": taken} | examples(publisher)
    if any(publisher.result is not None for publisher in routes.publishers.values()):
        yield "result", RESULT
    for runbook in routes.runbooks.values():
        if runbook.queue is not None:
            yield key_of("runbook", runbook.name), {"payload": {"description": "The starting payload of a run: any JSON."}}
    yield "dead-letter", {"headers": DEAD_HEADERS, "payload": {"description": "The original body."}}
    if routes.subscribers:
        yield "unrouted", {"headers": EVENT_HEADERS, "payload": {"description": "The event."}}


def examples(route: Subscriber | Publisher) -> dict[str, Any]:
    """Return the messages in a publisher's examples. A subscriber's examples hold records, not events."""
    given = [{"payload": example.given} for example in route.examples] if isinstance(route, Publisher) else []
    return {"examples": given} if given else {}


def records_of(route: Subscriber) -> str:
    """Return the kind of the records: an entity of the API, or the rows of a report without an entity."""
    return "the rows of a report" if route.report is not None and route.operation.path == PATH else route.operation.entity


def address_of(route: Subscriber) -> tuple[str, dict[str, Any]]:
    if route.routing_key is not None:
        return free_key()
    return f"{route.operation.resource}.{{change}}", {"change": {"enum": CHANGES, "description": "What happened to the record."}}


def free_key() -> tuple[str, dict[str, Any]]:
    return "{routingKey}", {"routingKey": {"description": "What `publish.routing_key` of the route or step yields."}}


def exchange_channel(exchange: AmqpExchange, address: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    named = {"name": exchange.name, "type": exchange.type, "durable": True, "autoDelete": False}
    bound: dict[str, Any] = {"address": address, "bindings": {"amqp": {"is": "routingKey", "exchange": named, "bindingVersion": BINDING}}}
    return bound | ({"parameters": dict(parameters)} if parameters else {})


def queue_channel(queue: str) -> dict[str, Any]:
    named = {"name": queue, "durable": True, "exclusive": False, "autoDelete": False}
    return {"address": queue, "bindings": {"amqp": {"is": "queue", "queue": named, "bindingVersion": BINDING}}}


def key_of(kind: str, name: str) -> str:
    """The key of a channel or message: AsyncAPI allows letters, digits, dots, hyphens and underscores."""
    return f"{kind}.{UNSAFE.sub('_', name)}"
