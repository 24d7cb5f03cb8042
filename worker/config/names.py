"""What holds over all route files together: names, references to clients, and who may use which queue."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from worker.config.config_node import ConfigNode
from worker.config.routes import Routes
from worker.core.errors import Problem
from worker.core.suggest import choices
from worker.core.topology import order_room, work_topology

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LONGEST = 100
OWN_NAMES = frozenset(("clients", "integrations"))
RESERVED = ("halo.state.", "halo.dead.", "halo.run.", "halo.wake.", "halo.claims", "halo.echoes", "halo.control", "halo.keys", "halo.budget", "halo.unrouted")


def check_names(definitions: Sequence[ConfigNode], problems: list[Problem]) -> None:
    """Names are of plain characters and used once: clients among themselves, integrations too, and all routes together."""
    seen: dict[tuple[str, str], ConfigNode] = {}
    for node in definitions:
        kind, name = str(node.path[0]), str(node.path[1])
        if not NAME.fullmatch(name) or len(name) > LONGEST:
            problems.append(
                node.key_problem(f"`{name}` cannot be a name: letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most {LONGEST}")
            )
        first = seen.setdefault((kind if kind in OWN_NAMES else "routes", name), node)
        if first is not node:
            problems.append(node.key_problem(f"the name `{name}` is taken: it stands under `{first.path[0]}` in {first.line()}"))


def check_references(definitions: Sequence[ConfigNode], problems: list[Problem]) -> None:
    """Every route names a client that there is."""
    clients = [str(node.path[1]) for node in definitions if node.path[0] == "clients"]
    for node in definitions:
        client = node.child("client")
        if node.path[0] == "clients" or not client.exists or not isinstance(client.value, str):
            continue
        name = client.fill(client.value)
        if name and name not in clients:
            known = choices(name, clients, none="no route file defines any")
            problems.append(client.problem(f"there is no client `{name}`{known}"))


@dataclass(frozen=True, slots=True)
class QueueConsumer:
    """A publisher or runbook that takes messages from a queue: its definition, the place of the queue's name, and the queue with its companions."""

    node: ConfigNode
    place: ConfigNode
    queue: str
    companions: tuple[str, ...]
    declared: bool = True

    @property
    def noun(self) -> str:
        return "publisher" if self.node.path[0] == "publishers" else "runbook"


def check_queues(definitions: Sequence[ConfigNode], routes: Routes, problems: list[Problem]) -> None:
    """No two routes take from one queue or its companions, and no events go straight into such a queue, which is declared otherwise."""
    owners: dict[str, QueueConsumer] = {}
    for consumer in queue_consumers(definitions, routes):
        if consumer.declared and consumer.queue.startswith(RESERVED):
            problems.append(consumer.place.problem(f"the queue `{consumer.queue}` is the worker's own: choose another name"))
        for name in dict.fromkeys((consumer.queue, *consumer.companions)):
            owner = owners.setdefault(name, consumer)
            if owner is not consumer:
                problems.append(consumer.place.problem(f"the queue `{name}` {belongs(owner)}: each {consumer.noun} needs its own"))
                break
    for node in definitions:
        subscriber = routes.subscribers.get(str(node.path[1]))
        if node.path[0] == "subscribers" and subscriber and subscriber.queue in owners:
            owner = owners[str(subscriber.queue)]
            place = node.child("queue") if "queue" in node else node.child("publish").child("queue")
            mend = f"give the publisher a `bind` to the exchange `{subscriber.exchange}`"
            if owner.noun == "runbook":
                mend = f"bind it to the exchange `{subscriber.exchange}` with the broker's tools"
            problems.append(place.problem(f"the queue `{subscriber.queue}` {belongs(owner)}: leave `queue` out here and {mend}"))


def belongs(owner: QueueConsumer) -> str:
    return f"belongs to the {owner.noun} `{owner.node.path[1]}` in {owner.node.line()}"


def queue_consumers(definitions: Sequence[ConfigNode], routes: Routes) -> Iterator[QueueConsumer]:
    """Every route that takes messages from a queue, in the order of the files."""
    for node in definitions:
        kind, name = str(node.path[0]), str(node.path[1])
        if kind == "publishers" and (publisher := routes.publishers.get(name)):
            room = () if publisher.order_by is None else (order_room(publisher.queue),)
            beside = (*companions(publisher.queue, publisher.retry), *room)
            yield QueueConsumer(node, node.child("queue"), publisher.queue, beside, publisher.declare)
        elif kind == "runbooks" and (runbook := routes.runbooks.get(name)) and runbook.queue:
            yield QueueConsumer(node, node.child("start").child("queue"), runbook.queue, companions(runbook.queue, runbook.delays))


def companions(queue: str, retry: Iterable[float]) -> tuple[str, ...]:
    """The retry queues of a queue, and its dead queue."""
    return tuple(found.name for found in work_topology(queue, retry).queues)
