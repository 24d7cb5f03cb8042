"""The RabbitMQ permissions that each user of the broker needs, worked out from the routes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from worker.config.routes import Routes
from worker.core.errors import ConfigError, Problem
from worker.core.suggest import choices
from worker.core.topology import dead_queue

Role = Literal["worker", "operator", "sender", "reader", "monitoring"]
OWN = r"halo\..*"  # a namespace and not a list: a new version may need another queue, and other systems use no such names
DEFAULT_EXCHANGE = r"amq\.default"
BESIDE = r"\.(dead|order|order\.lock)"  # the queues beside a work queue; retry queues have the worker's own names (`OWN`)
NOTHING = "^$"
SPECIAL = re.compile(r"[\\.^$|?*+()\[\]{}]")


@dataclass(frozen=True, slots=True)
class Account:
    """One user of the broker: the three regular expressions of `rabbitmqctl set_permissions`, and its tag for the management API."""

    user: str
    role: Role
    purpose: str
    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    tag: str = ""


def accounts_of(routes: Routes, readers: Sequence[str] = ()) -> tuple[Account, ...]:
    """Return the accounts for these routes. `readers`: queues that other systems declare for events, as `QUEUE` or `QUEUE=EXCHANGE`.

    Raises `ConfigError` for a queue name that would give the reader rights on the worker's queues, or for an exchange without events.
    """
    senders = [sender(exchange) for exchange in sorted(inlets(routes) - outlets(routes))]
    served = [served_reader(queue) for queue in sorted({queue for queue, _ in served_queues(routes)})]
    own = [own_reader(routes, text) for text in readers]
    monitoring = Account("halo-monitoring", "monitoring", "counts messages in the management API", tag="monitoring")
    return (worker(routes), operator(routes), *senders, *served, *own, monitoring)


def worker(routes: Routes) -> Account:
    """Return the account of `halo-worker run`."""
    served = served_queues(routes)
    bound = {queue for queue, _ in served} | {route.queue for route in routes.publishers.values() if route.bind}
    bound |= {str(runbook.queue) for runbook in routes.runbooks.values() if runbook.bind}
    foreign = {route.queue for route in routes.publishers.values() if not route.declare}
    work = set(work_queues(routes))
    return Account(
        "halo-worker",
        "worker",
        "runs the service",
        whole_name_pattern([OWN], {queue for queue, _ in served} | inlets(routes) | outlets(routes), work - foreign, beside=foreign),
        whole_name_pattern([DEFAULT_EXCHANGE], outlets(routes) | bound),
        whole_name_pattern([OWN], {exchange for _, exchange in served} | inlets(routes), work),  # read: to consume, and to declare what dead-letters
    )


def operator(routes: Routes) -> Account:
    """Return the account of `halo-worker dead`, `cursor`, `status`, `pause`, `resume` and `trace`: the dead letters, and the worker's own queues."""
    dead = [dead_queue(queue) for queue in work_queues(routes)]
    return Account(
        "halo-operator",
        "operator",
        "runs `dead`, `cursor`, `status`, `pause`, `resume` and `trace`",
        whole_name_pattern([OWN]),
        whole_name_pattern([DEFAULT_EXCHANGE], outlets(routes)),
        whole_name_pattern([OWN], dead),
    )


def sender(exchange: str) -> Account:
    return Account(f"sender-{exchange}", "sender", f"publishes to exchange {exchange}", write=whole_name_pattern(names=[exchange]))


def served_reader(queue: str) -> Account:
    return Account(f"reader-{queue}", "reader", f"consumes queue {queue}, which the worker declares", read=whole_name_pattern(names=[queue]))


def own_reader(routes: Routes, text: str) -> Account:
    """Return the account of a reader that declares its queue, and dead-letters it through its own exchange (`QUEUE.…`). Raises `ConfigError`."""
    queue, _, exchange = text.partition("=")
    events = sorted(outlets(routes))
    if exchange and exchange not in events:
        raise permission_error(f"exchange {exchange!r} carries no events{choices(exchange, events, none='; no route publishes any')}")
    if not queue or not events:
        raise permission_error("name a queue, such as `--reader billing`" if not queue else "no route publishes events, so there is nothing to read")
    if re.fullmatch(worker(routes).configure, queue):
        raise permission_error(f"queue {queue!r} is the worker's: name a queue of the reader's own")
    mine = f"{exact_pattern(queue)}(\\..*)?"
    if taken := [name for name in sorted(names_of(routes)) if re.fullmatch(mine, name)]:
        raise permission_error(
            f"a reader of queue {queue!r} may use every name that begins with `{queue}.`, and {taken[0]!r} is the worker's: name another queue"
        )
    sources = [exchange] if exchange else events
    purpose = f"declares queue {queue} and binds it to exchange {', '.join(sources)}"
    return Account(f"reader-{queue}", "reader", purpose, whole_name_pattern([mine]), whole_name_pattern([mine]), whole_name_pattern([mine], sources))


def warnings_of(routes: Routes) -> tuple[str, ...]:
    """Return a warning wherever these routes leave a sender without narrow rights."""
    warnings = []
    for name, route in routes.publishers.items():
        if not route.bind:
            warnings.append(unbound(route.queue, f"publisher {name}", "give the route a `bind` to an exchange of the sender"))
    for name, runbook in routes.runbooks.items():
        if runbook.queue and not runbook.bind:
            warnings.append(unbound(runbook.queue, f"runbook {name}", "give the runbook a `start.bind` to an exchange of the sender"))
    both = sorted(inlets(routes) & outlets(routes))
    warnings += [
        f"exchange {exchange} carries the worker's events and feeds a queue of the worker: a user who may write to it can forge events" for exchange in both
    ]
    return tuple(warnings)


def unbound(queue: str, owner: str, remedy: str) -> str:
    return f"queue {queue} of {owner} is bound to no exchange by its route: {remedy}. Write on amq.default reaches every queue of the virtual host"


def inlets(routes: Routes) -> set[str]:
    """The exchanges from which publishers and runbooks get messages."""
    bound = [*(route.bind for route in routes.publishers.values()), *(runbook.bind for runbook in routes.runbooks.values())]
    return {source.exchange.name for sources in bound for source in sources}


def outlets(routes: Routes) -> set[str]:
    """The exchanges to which the worker publishes."""
    hooks = {hook.exchange for hook in routes.webhooks.values() if hook.exchange}
    results = {route.result.exchange for route in routes.publishers.values() if route.result is not None}
    steps = {exchange for runbook in routes.runbooks.values() for exchange in runbook.outlets}
    return {route.exchange for route in routes.subscribers.values()} | hooks | results | steps


def served_queues(routes: Routes) -> list[tuple[str, str]]:
    """The queues that the worker declares for others, each with the exchange that it is bound to."""
    events = [(route.queue, route.exchange) for route in routes.subscribers.values() if route.queue]
    results = [(route.result.queue, route.result.exchange) for route in routes.publishers.values() if route.result is not None and route.result.queue]
    return events + results


def work_queues(routes: Routes) -> list[str]:
    starts = [runbook.queue for runbook in routes.runbooks.values() if runbook.queue]
    return [*(route.queue for route in routes.publishers.values()), *starts]


def names_of(routes: Routes) -> set[str]:
    """Return the names that no reader may get by a prefix; `halo.` stands for all names that begin with it."""
    served = {queue for queue, _ in served_queues(routes)}
    return {"halo.", "amq.default", *served, *work_queues(routes), *inlets(routes), *outlets(routes)}


def exact_pattern(name: str) -> str:
    return SPECIAL.sub(r"\\\g<0>", name)


def whole_name_pattern(patterns: Collection[str] = (), names: Iterable[str] = (), queues: Iterable[str] = (), *, beside: Iterable[str] = ()) -> str:
    """Return one expression for whole names, since RabbitMQ searches for a match anywhere in a name.

    It matches `patterns`, `names`, `queues` with the queues beside them, and only the queues beside those of `beside`.
    """
    parts = list(patterns)
    for found, ending in ((names, ""), (queues, f"({BESIDE})?"), (beside, BESIDE)):
        kept = sorted(exact_pattern(name) for name in set(found) if not (OWN in patterns and re.fullmatch(OWN, name)))
        parts += [f"{name}{ending}" for name in kept] if len(kept) == 1 or not ending else [f"({'|'.join(kept)}){ending}"] if kept else []
    return f"^({'|'.join(parts)})$" if len(parts) > 1 else f"^{parts[0]}$"


def permission_error(message: str) -> ConfigError:
    return ConfigError([Problem("--reader", 0, 0, message)])
