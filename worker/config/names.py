"""Checks over all route files together: unique names, existing clients, and one consumer for each queue."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker.config.config_node import ConfigNode
from worker.config.references import References, check_reference
from worker.config.routes import Routes, Subscriber
from worker.core.route_names import routes_of_name
from worker.core.topology import AmqpExchange, event_exchange, is_own, order_lock, order_queue, work_topology

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
NAME_CHARACTERS = "letters, digits, `.`, `_` and `-`, beginning with a letter or digit"
MAX_NAME = 100
OWN_NAMES = frozenset(("clients", "integrations"))


def check_names(definitions: Sequence[ConfigNode]) -> None:
    """Check that names have plain characters, and are unique among clients, among integrations, and among all routes."""
    seen: dict[tuple[str, str], ConfigNode] = {}
    for node in definitions:
        if not NAME.fullmatch(node.name) or len(node.name) > MAX_NAME:
            node.add_key_error(f"`{node.name}` cannot be a name: {NAME_CHARACTERS}, at most {MAX_NAME}")
        first = seen.setdefault((node.kind if node.kind in OWN_NAMES else "routes", node.name), node)
        if first is not node:
            node.add_key_error(f"the name `{node.name}` is taken: it is defined under `{first.kind}` in {first.reference()}")


def check_clients(references: References) -> None:
    """Check that every route names an existing client, also a route with other errors."""
    clients = references.names("clients")
    for node in references.definitions:
        client = node.child("client")
        several = client.children.values() if isinstance(client.value, list) else [client]
        for each in several if node.kind != "clients" else ():
            if isinstance(each.value, str) and (name := each.fill(each.value)):
                check_reference(name, "client", clients, each)


@dataclass(frozen=True, slots=True)
class QueueConsumer:
    """A publisher or runbook that consumes from a queue. `companions`: the queues that the worker declares beside it."""

    definition: ConfigNode
    queue_node: ConfigNode
    queue: str
    companions: tuple[str, ...]

    @property
    def noun(self) -> str:
        return "publisher" if self.definition.kind == "publishers" else "runbook"

    @property
    def owns(self) -> str:
        """The end of a sentence about its queue."""
        return f"belongs to the {self.noun} `{self.definition.name}` in {self.definition.reference()}"


def check_queues(definitions: Sequence[ConfigNode], routes: Routes) -> None:
    """Check that each queue and its companions have one consumer, and that no route declares such a queue for events or results: its arguments would differ."""
    owners: dict[str, QueueConsumer] = {}
    for consumer in queue_consumers(definitions, routes):
        if check_not_reserved(consumer.queue, consumer.queue_node):
            continue
        for name in dict.fromkeys((consumer.queue, *consumer.companions)):
            owner = owners.setdefault(name, consumer)
            if owner is not consumer:
                consumer.queue_node.add_error(f"the queue `{name}` {owner.owns}: each {consumer.noun} needs its own")
                break
    for name, exchange, queue in served_queues(definitions, routes):
        if not check_not_reserved(name, queue) and name in owners:
            owner = owners[name]
            bind = "`bind`" if owner.noun == "publisher" else "`start.bind`"
            mend = f"give the {owner.noun} a {bind} to the exchange `{exchange}`"
            queue.add_error(f"the queue `{name}` {owner.owns}: leave `queue` out here and {mend}")


def served_queues(definitions: Sequence[ConfigNode], routes: Routes) -> Iterator[tuple[str, str, ConfigNode]]:
    """The queues that routes declare for others to consume: name, exchange and place."""
    for node in definitions:
        if node.kind == "subscribers" and (subscriber := first_subscriber(node, routes)) and subscriber.queue is not None:
            yield subscriber.queue, subscriber.exchange, node.child("queue") if "queue" in node else node.child("publish").child("queue")
        elif node.kind == "publishers" and (publisher := routes.publishers.get(node.name)) and publisher.result and publisher.result.queue:
            yield publisher.result.queue, publisher.result.exchange, node.child("result").child("queue")


def check_not_reserved(queue: str, node: ConfigNode) -> bool:
    """Whether a route names a queue of the worker's own, which is an error."""
    own = is_own(queue)
    if own:
        node.add_error(f"the queue `{queue}` is the worker's own: choose another name")
    return own


def check_exchanges(definitions: Sequence[ConfigNode], routes: Routes) -> None:
    """Check that all routes give an exchange the same type, because any of them may declare it."""
    types: dict[str, tuple[str, ConfigNode]] = {}
    for node in definitions:
        for exchange, place in exchanges_of(node, routes):
            kind, first = types.setdefault(exchange.name, (exchange.type, place))
            if kind != exchange.type:
                place.add_error(f"the exchange `{exchange.name}` has the type {kind} in {first.reference()} and {exchange.type} here: write the same `type`")


def first_subscriber(node: ConfigNode, routes: Routes) -> Subscriber | None:
    """Return the subscriber of this definition; over several clients that of the first: all have the same exchange and queue."""
    return next((routes.subscribers[name] for name in routes_of_name(node.name, routes.subscribers)), None)


def exchanges_of(node: ConfigNode, routes: Routes) -> Iterator[tuple[AmqpExchange, ConfigNode]]:
    """The exchanges that a definition declares, with their places."""
    if node.kind == "publishers" and (publisher := routes.publishers.get(node.name)):
        yield from ((source.exchange, node.child("bind").child(index)) for index, source in enumerate(publisher.bind))
        if publisher.result is not None:
            yield event_exchange(publisher.result.exchange), node.child("result")
    elif node.kind == "subscribers" and (subscriber := first_subscriber(node, routes)):
        yield event_exchange(subscriber.exchange), node.child("publish")
    elif node.kind == "runbooks" and (runbook := routes.runbooks.get(node.name)):
        yield from ((source.exchange, node.child("start").child("bind").child(index)) for index, source in enumerate(runbook.bind))
        published = [(step.publish.exchange, step.name) for step in runbook.steps.values() if step.publish is not None]
        yield from ((event_exchange(exchange), node.child("steps").child(name).child("publish")) for exchange, name in published)
    elif node.kind == "webhooks" and (webhook := routes.webhooks.get(node.name)) and webhook.exchange:
        yield event_exchange(webhook.exchange), node.child("publish")


def queue_consumers(definitions: Sequence[ConfigNode], routes: Routes) -> Iterator[QueueConsumer]:
    """Every route that consumes from a queue, in the order of the files."""
    for node in definitions:
        if node.kind == "publishers" and (publisher := routes.publishers.get(node.name)):
            waiting = (order_queue(publisher.queue), order_lock(publisher.queue)) if publisher.has_waiting_queue else ()
            beside = (*companions(publisher.queue), *waiting)
            yield QueueConsumer(node, node.child("queue"), publisher.queue, beside)
        elif node.kind == "runbooks" and (runbook := routes.runbooks.get(node.name)) and runbook.queue:
            yield QueueConsumer(node, node.child("start").child("queue"), runbook.queue, companions(runbook.queue))


def companions(queue: str) -> tuple[str, ...]:
    """The queues that belong to this route alone: its dead queue beside it. Retry queues are shared."""
    return tuple(found.name for found in work_topology(queue, ()).queues)
