"""What holds over all route files together: names, references to clients, and who may use which queue."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from worker.config.routes import Routes
from worker.config.spot import Spot
from worker.core.errors import Problem
from worker.core.suggest import choices
from worker.core.topology import order_room, work_topology

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LONGEST = 100
OWN_NAMES = frozenset(("clients", "integrations"))
RESERVED = (
    "halo.state.",
    "halo.dead.",
    "halo.run.",
    "halo.wake.",
    "halo.claims",
    "halo.echoes",
    "halo.control",
    "halo.keys",
    "halo.budget",
    "halo.retry.",
    "halo.ordered",
    "halo.unrouted",
)


def check_names(definitions: Sequence[Spot], problems: list[Problem]) -> None:
    """Names are of plain characters and used once: clients among themselves, integrations too, and all routes together."""
    seen: dict[tuple[str, str], Spot] = {}
    for spot in definitions:
        kind, name = str(spot.path[0]), str(spot.path[1])
        if not NAME.fullmatch(name) or len(name) > LONGEST:
            problems.append(
                spot.key_problem(f"`{name}` cannot be a name: letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most {LONGEST}")
            )
        first = seen.setdefault((kind if kind in OWN_NAMES else "routes", name), spot)
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
            known = choices(name, clients, none="no route file defines any")
            problems.append(client.problem(f"there is no client `{name}`{known}"))


@dataclass(frozen=True, slots=True)
class Taker:
    """A publisher or runbook that takes messages from a queue: its definition, the place of the queue's name, and the queue with its companions."""

    spot: Spot
    place: Spot
    queue: str
    companions: tuple[str, ...]
    declared: bool = True

    @property
    def noun(self) -> str:
        return "publisher" if self.spot.path[0] == "publishers" else "runbook"


def check_queues(definitions: Sequence[Spot], routes: Routes, problems: list[Problem]) -> None:
    """No two routes take from one queue or its companions, and no events go straight into such a queue, which is declared otherwise."""
    owners: dict[str, Taker] = {}
    for taker in takers(definitions, routes):
        if taker.declared and taker.queue.startswith(RESERVED):
            problems.append(taker.place.problem(f"the queue `{taker.queue}` is the worker's own: choose another name"))
        for name in dict.fromkeys((taker.queue, *taker.companions)):
            owner = owners.setdefault(name, taker)
            if owner is not taker:
                problems.append(taker.place.problem(f"the queue `{name}` {belongs(owner)}: each {taker.noun} needs its own"))
                break
    for spot in definitions:
        subscriber = routes.subscribers.get(str(spot.path[1]))
        if spot.path[0] == "subscribers" and subscriber and subscriber.queue in owners:
            owner = owners[str(subscriber.queue)]
            place = spot.child("queue") if "queue" in spot else spot.child("publish").child("queue")
            mend = f"give the publisher a `bind` to the exchange `{subscriber.exchange}`"
            if owner.noun == "runbook":
                mend = f"bind it to the exchange `{subscriber.exchange}` with the broker's tools"
            problems.append(place.problem(f"the queue `{subscriber.queue}` {belongs(owner)}: leave `queue` out here and {mend}"))


def belongs(owner: Taker) -> str:
    return f"belongs to the {owner.noun} `{owner.spot.path[1]}` in {owner.spot.line()}"


def takers(definitions: Sequence[Spot], routes: Routes) -> Iterator[Taker]:
    """Every route that takes messages from a queue, in the order of the files."""
    for spot in definitions:
        kind, name = str(spot.path[0]), str(spot.path[1])
        if kind == "publishers" and (publisher := routes.publishers.get(name)):
            room = () if publisher.order_by is None else (order_room(publisher.queue),)
            beside = (*companions(publisher.queue), *room)
            yield Taker(spot, spot.child("queue"), publisher.queue, beside, publisher.declare)
        elif kind == "runbooks" and (runbook := routes.runbooks.get(name)) and runbook.queue:
            yield Taker(spot, spot.child("start").child("queue"), runbook.queue, companions(runbook.queue))


def companions(queue: str) -> tuple[str, ...]:
    """The queues that belong to this route alone: its dead queue beside it. Retry queues are shared."""
    return tuple(found.name for found in work_topology(queue, ()).queues)
