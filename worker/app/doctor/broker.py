"""Checks the broker: the connection, the rights to declare, publish and read, and the arguments of the queues. It changes no existing queue."""

from __future__ import annotations

from collections.abc import AsyncIterator

from worker.app.doctor.check import Check, Subject
from worker.broker.open import MEMORY, open_broker
from worker.config.routes import Routes
from worker.core.broker_addresses import addresses_of, place_of
from worker.core.entropy import new_id
from worker.core.errors import BrokerError, BrokerUnreachable, TopologyMismatch, Unroutable
from worker.core.message import Message
from worker.core.ports import Broker
from worker.core.topology import CLAIMS, Topology, baton_topology, common_topology, keys_topology, retry_topology, union
from worker.flows.ordered.consumer import ordered_publisher_topology
from worker.flows.polling.subscriber import subscriber_topology
from worker.flows.running.starting import runbook_topology
from worker.flows.writes.publisher import publisher_topology
from worker.settings import Settings
from worker.state.stream_follower import open_stream

PERMISSIONS = "give the user the rights that `halo-worker permissions --ctl` prints"
REACH = (
    ("refuses the user", "correct user and password in WORKER_AMQP_URL (percent-encoded); RabbitMQ accepts `guest` from its own host only"),
    ("virtual host", "create the virtual host and give the user rights there, or correct the path of WORKER_AMQP_URL (/ is written %2F)"),
    ("too old", "update RabbitMQ to 3.10 or newer"),
    ("cannot be resolved", "correct the host in WORKER_AMQP_URL; a container may need a `dns` setting of its own"),
    ("in time", "allow this host and port in the firewall"),
    ("certificate", "mount the PEM files that WORKER_AMQP_URL names (cafile, certfile, keyfile), with the authority that signed the broker's certificate"),
)
OTHERWISE = "check host and port of WORKER_AMQP_URL (5672, amqps: 5671), the network between, and whether RabbitMQ runs"


async def broker_checks(settings: Settings, routes: Routes) -> AsyncIterator[Check]:
    about = Subject("broker")
    url = settings.amqp_url.get_secret_value()
    if url.startswith(MEMORY):
        yield about.warning("connection", "read WORKER_AMQP_URL", "memory:// keeps nothing: all state ends with the process", "use RabbitMQ in production")
        return
    examined = False
    for address in addresses_of(url):
        place = place_of(address)
        try:
            async with open_broker(address, name="halo-worker doctor", heartbeat=settings.heartbeat) as broker:
                yield about.good("connection", f"connect to {place}", "connected and logged in")
                if not examined:
                    examined = True
                    async for check in use_checks(broker, routes, about):
                        yield check
        except BrokerUnreachable as error:
            yield about.failed("connection", f"connect to {place}", str(error), remedy_of(str(error)))
        except BrokerError as error:
            yield about.failed("connection", f"use {place}", str(error), OTHERWISE)


def remedy_of(reason: str) -> str:
    return next((fix for text, fix in REACH if text.lower() in reason.lower()), OTHERWISE)


async def use_checks(broker: Broker, routes: Routes, about: Subject) -> AsyncIterator[Check]:
    """Check rights and queues. All nodes of a cluster share them."""
    yield await configuring(broker, about)
    yield await writing(broker, about)
    async for check in queues(broker, routes, about):
        yield check


async def configuring(broker: Broker, about: Subject) -> Check:
    tried = "declare an exclusive queue halo.doctor.…, which ends with the connection"
    try:
        async with broker.lock(f"halo.doctor.{new_id()}"):
            return about.good("configure", tried, "allowed")
    except BrokerError as error:
        return about.failed("configure", tried, str(error), PERMISSIONS)


async def writing(broker: Broker, about: Subject) -> Check:
    tried = "publish to a queue that does not exist"
    try:
        await broker.publish(Message(b"{}"), routing_key=f"halo.doctor.{new_id()}")
    except Unroutable:
        return about.good("write", tried, "allowed; the message came back")
    except BrokerError as error:
        return about.failed("write", tried, str(error), PERMISSIONS)
    return about.unknown("write", tried, "it was taken by a queue")


async def queues(broker: Broker, routes: Routes, about: Subject) -> AsyncIterator[Check]:
    """Compare the existing queues with what the worker would declare. This creates no queue."""
    topology = topology_of(routes)
    there = [queue for queue in topology.queues if await broker.queue_exists(queue.name)]
    lacking = [queue.name for queue in topology.queues if queue not in there]
    tried = f"compare {len(there)} queues with what the worker declares"
    try:
        await broker.declare(Topology(queues=tuple(there)))
    except TopologyMismatch as error:
        first = str(error).splitlines()
        yield about.failed("queues", tried, "; ".join(first[:-1][:5]), first[-1])
    except BrokerError as error:
        yield about.failed("queues", tried, str(error), PERMISSIONS)
    else:
        yield about.good("queues", tried, f"types and arguments fit; {len(lacking)} are not there yet: the worker makes them at its start")
    taken = [queue.name for queue in topology.queues if queue.passive and queue.name in lacking]
    if taken:
        fix = "create them, or leave out `declare: false`"
        yield about.failed("declared elsewhere", "look for the queues of routes with `declare: false`", f"not there: {', '.join(taken)}", fix)
    if await broker.queue_exists(CLAIMS):
        yield await reading(broker, about)


async def reading(broker: Broker, about: Subject) -> Check:
    tried = f"consume from the end of the stream {CLAIMS}"
    try:
        async with open_stream(broker, CLAIMS, "next", prefetch=1):
            return about.good("read", tried, "allowed")
    except BrokerError as error:
        return about.failed("read", tried, str(error), PERMISSIONS)


def topology_of(routes: Routes) -> Topology:
    """Return all queues that these routes need."""
    parts = [common_topology(), keys_topology()]
    for subscriber in routes.subscribers.values():
        parts += [subscriber_topology(subscriber), baton_topology(subscriber.name)]
    for publisher in routes.publishers.values():
        parts.append(ordered_publisher_topology(publisher) if publisher.has_waiting_queue else publisher_topology(publisher))
    parts += [runbook_topology(runbook) for runbook in routes.runbooks.values()]
    return union([*parts, retry_topology(())])
