"""What holds over all route files together: names, references to clients, and who may use which queue."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from worker.config.routes import Publisher, Subscriber
from worker.config.spot import Spot
from worker.core.errors import Problem
from worker.core.suggest import did_you_mean
from worker.core.topology import work_topology

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LONGEST = 100
RESERVED = ("halo.state.", "halo.dead.", "halo.run.", "halo.claims", "halo.control")


def check_names(definitions: Sequence[Spot], problems: list[Problem]) -> None:
    """Names are of plain characters and used once: clients among themselves, and all routes together."""
    seen: dict[tuple[bool, str], Spot] = {}
    for spot in definitions:
        kind, name = str(spot.path[0]), str(spot.path[1])
        if not NAME.fullmatch(name) or len(name) > LONGEST:
            problems.append(
                spot.key_problem(f"`{name}` cannot be a name: letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most {LONGEST}")
            )
        first = seen.setdefault((kind == "clients", name), spot)
        if first is not spot:
            problems.append(spot.key_problem(f"the name `{name}` is taken: it stands under `{first.path[0]}` in {first.line()}"))


def check_references(definitions: Sequence[Spot], problems: list[Problem]) -> None:
    """Every route names a client that there is."""
    clients = [str(spot.path[1]) for spot in definitions if spot.path[0] == "clients"]
    for spot in definitions:
        client = spot.child("client")
        if spot.path[0] == "clients" or not client.exists or not isinstance(client.value, str):
            continue
        name = client.fill(client.value)
        if name and name not in clients:
            known = did_you_mean(name, clients) or (f"; there are {', '.join(clients)}" if clients else "; no route file defines any")
            problems.append(client.problem(f"there is no client `{name}`{known}"))


def check_queues(definitions: Sequence[Spot], publishers: Mapping[str, Publisher], subscribers: Mapping[str, Subscriber], problems: list[Problem]) -> None:
    """No two publishers share a queue or its companions, and no events go straight into a publisher's queue, which is declared otherwise."""
    owners: dict[str, Spot] = {}
    for spot in definitions:
        publisher = publishers.get(str(spot.path[1]))
        if spot.path[0] != "publishers" or publisher is None:
            continue
        queue = spot.child("queue")
        if publisher.declare and publisher.queue.startswith(RESERVED):
            problems.append(queue.problem(f"the queue `{publisher.queue}` is the worker's own: choose another name"))
        for name in queues_of(publisher):
            owner = owners.setdefault(name, spot)
            if owner is not spot:
                problems.append(queue.problem(f"the queue `{name}` belongs to the publisher `{owner.path[1]}` in {owner.line()}: each publisher needs its own"))
                break
    for spot in definitions:
        subscriber = subscribers.get(str(spot.path[1]))
        if spot.path[0] == "subscribers" and subscriber and subscriber.queue in owners:
            owner = owners[str(subscriber.queue)]
            place = spot.child("queue") if "queue" in spot else spot.child("publish").child("queue")
            problems.append(
                place.problem(
                    f"the queue `{subscriber.queue}` belongs to the publisher `{owner.path[1]}` in {owner.line()}: "
                    f"leave `queue` out here and give the publisher a `bind` to the exchange `{subscriber.exchange}`"
                )
            )


def queues_of(publisher: Publisher) -> Iterator[str]:
    """The publisher's queue, then its retry queues and its dead queue."""
    companions = (queue.name for queue in work_topology(publisher.queue, publisher.retry).queues)
    return iter(dict.fromkeys((publisher.queue, *companions)))
