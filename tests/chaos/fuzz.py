"""A sender that may write to one exchange sends whatever AMQP can carry: nothing is lost, no route stops, no right is borrowed, and the process lives."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tests.chaos.soak import is_ready, resident
from tests.chaos.wild import ROUTES, SPY, Wilderness, every_type
from tests.tools.broker_user import broker_user
from tests.tools.job import OtherSystem
from tests.tools.ports import free_port
from tests.tools.process import WorkerProcess, worker_process, write_routes
from tests.tools.rabbitmq import RabbitMQ
from tests.tools.stranger import Stranger, stranger
from tests.tools.waiting import until
from worker.app.permissions import Account
from worker.broker.open import open_broker
from worker.core.topology import AmqpExchange, Binding, Queue, Topology, browsable_queue
from worker.sandbox.server import serve
from worker.sandbox.settings import SandboxSettings

AT_ONCE = 50
AHEAD = 500  # messages in one queue at most
ENDS = 120.0  # seconds within which all is settled that was sent
STALLED = 120.0  # seconds without any progress
LIVE = 0.1  # seconds within which /livez answers
SETTLED = ("done", "skipped", "passed")
SENDER = Account("stranger", "sender", "writes to one exchange", write="^erp$")
KINDS = ("baton", "claim", "notice", "permit")


@dataclass
class Fuzzed:
    """`sent` and `settled`: messages by route. `broken`: what did not hold.

    `slow`: answers of /livez that took longer than it may; `longest`: seconds. `late`: how long the worker ran and how long it waited for a processor meanwhile.
    `held`: those in which it ran for longer than it may, which no other process can be blamed for.
    """

    sent: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ROUTES, 0))
    settled: dict[str, int] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=dict)
    asked: int = 0
    slow: int = 0
    longest: float = 0.0
    late: list[str] = field(default_factory=list)
    held: int = 0
    memory: int = 0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        rate = sum(self.sent.values()) / max(self.seconds, 0.001)
        live = f"/livez answered {self.asked:,} times, {self.slow} of them later than {LIVE * 1000:.0f} ms, {self.longest * 1000:.0f} ms at most"
        return f"{sum(self.sent.values()):,} messages in {self.seconds:.0f} s ({rate:.0f}/s): {live}; {self.memory / 2**20:.0f} MiB at most; {self.settled}"


def definition(url: str) -> dict[str, Any]:
    """A route of every kind."""
    auth = {"type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    mapped = {
        "payload": {"id": "{{ id }}", "inventory_number": "{{ $uppercase(name) }}", "notes": "{{ $count($distinct(tags)) & ' ' & $join($keys($), ',') }}"}
    }
    common = {"client": "main", "entity": "Asset", "retry": ["1s"], "concurrency": 8, "missing": "omit"}
    routes = {
        "plain": common | {"queue": "plain", "transform": mapped, "when": "{{ $not(name = 'a') }}"},
        "once": common | {"queue": "once", "transform": mapped, "once": "{{ $headers.`order-id` ? $headers.`order-id` : $string(id) & name }}"},
        "lanes": common | {"queue": "lanes", "transform": mapped, "order_by": "{{ id }}"},
        "raw": common | {"queue": "raw"},
        "gone": {"client": "main", "queue": "gone", "entity": "Asset/{id}", "method": "DELETE", "retry": ["1s"], "concurrency": 8},
        "foreign": common | {"queue": "foreign", "transform": mapped, "declare": False},
    }
    steps = {
        "look": {"next": [{"when": "{{ $exists(number) and $length($string(Name)) > 2 }}", "go": "end"}, {"go": "other"}]},
        "end": {"end": "done"},
        "other": {"end": "done"},
    }
    runbook = {"start": {"queue": "go"}, "input": {"Name": "request^name!", "Number": "request^number"}, "first": "look", "steps": steps, "concurrency": 8}
    subscriber = {"client": "main", "entity": "Tickets", "every": "2s", "start": "beginning", "queue": "events"}
    client = {"url": url, "auth": auth, "rate_limit": "none", "timeout": "10s"}
    return {"clients": {"main": client}, "publishers": routes, "runbooks": {"rb": runbook}, "subscribers": {"tickets": subscriber}}


async def fuzz(rabbitmq: RabbitMQ, folder: Path, seed: int, messages: int, say: Callable[[str], None]) -> Fuzzed:
    """Send `messages` as a user that may write to one exchange, and see what becomes of them."""
    url, result = rabbitmq.new_vhost(), Fuzzed()
    async with AsyncExitStack() as stack:
        stack.enter_context(every_type())
        halo = await stack.enter_async_context(serve(SandboxSettings(rate_limit=None, tickets=20)))
        other = OtherSystem(await stack.enter_async_context(open_broker(url, name="other system")))
        inlets = tuple(Queue(route, {"x-queue-type": "classic"}) for route in ("foreign",))
        await other.broker.declare(Topology((AmqpExchange("erp"),), (*inlets, browsable_queue(SPY))))
        write_routes(folder, definition(halo.url))
        port = free_port()
        worker = await stack.enter_async_context(worker_process(folder, url, name="fuzzed", log_level="error", admin_port=port))
        worker.listens_at(port)
        await until(lambda: is_ready(worker))
        before_the_others(worker)
        await other.broker.declare(Topology(bindings=tuple(Binding("erp", f"to.{route}", route) for route in ROUTES), exchanges=(AmqpExchange("erp"),)))
        account = stack.enter_context(broker_user(rabbitmq, url, SENDER))
        began = time.monotonic()
        try:
            async with watched(port, worker, halo.journal.clear, result):
                await send_all(account.url, other, Wilderness(seed), messages, result, say)
                await until(lambda: all_settled(worker, other, result), ENDS)
                await goes_on(account.url, worker, other, result)
            await judge(worker, other, result)
        except TimeoutError:
            result.broken.append(
                f"not all was settled: {result.settled} of {result.sent}; waiting: {result.waiting}; in hand: {await worker.metric('messages_in_hand')}"
            )
        finally:
            result.seconds = time.monotonic() - began
        if not worker.running:
            result.broken.append(f"the worker ended with {worker.process.returncode}")
        elif await worker.stop() != 0:
            result.broken.append("the worker did not end well")
    await asyncio.to_thread(rabbitmq.drop_vhost, url)
    return result


def before_the_others(worker: WorkerProcess) -> None:
    """Give the worker's loop the core first: the broker, the sender and the simulated Halo, which have machines of their own elsewhere, share two cores here."""
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, worker.process.pid, -10)


async def send_all(url: str, other: OtherSystem, wild: Wilderness, messages: int, result: Fuzzed, say: Callable[[str], None]) -> None:
    """Never far ahead of the worker."""
    async with stranger(url) as sender:
        done = 0
        while done < messages:
            portion = [wild.message() for _ in range(min(AT_ONCE, messages - done))]
            await asyncio.gather(*(send(sender, each.route, each.body, each.headers, each.properties) for each in portion))
            for each in portion:
                result.sent[each.route] += 1
            done += len(portion)
            if done % 5000 < AT_ONCE:
                say(f"{done:,} of {messages:,} messages, {result.memory / 2**20:.0f} MiB")
            began = time.monotonic()
            while max([await other.depth(route) for route in ROUTES]) > AHEAD:
                assert time.monotonic() - began < STALLED, "a route stands still"
                await asyncio.sleep(0.1)


async def send(sender: Stranger, route: str, body: bytes, headers: dict[str, Any], properties: dict[str, Any]) -> None:
    await sender.send(body, f"to.{route}", "erp", headers, **properties)


WATCH = """
import http.client, json, os, signal, sys, time
try:
    os.nice(-10)  # its own pauses are no word about the worker
except PermissionError:
    pass
port, live, pid = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
told = {"asked": 0, "slow": 0, "longest": 0.0, "late": [], "held": 0}
going = [True]

def scheduled(of):  # milliseconds for which it ran, and for which it waited for a processor
    try:
        with open(f"/proc/{of}/schedstat") as file:
            return [int(field) / 1e6 for field in file.read().split()[:2]]
    except OSError:
        return [0.0, 0.0]

signal.signal(signal.SIGTERM, lambda *_: going.clear())
connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
while going:
    before = scheduled(pid) + scheduled("self")
    began = time.monotonic()
    try:
        connection.request("GET", "/livez")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        connection.close()
    took = time.monotonic() - began
    if took > live:
        ran, waited, _, unasked = (after - earlier for after, earlier in zip(scheduled(pid) + scheduled("self"), before))
        told["held"] += ran > live * 1000
        at = time.strftime("%H:%M:%S", time.gmtime())
        told["late"].append(f"{at} after {took * 1000:.0f} ms: the worker ran {ran:.0f} ms and waited {waited:.0f} ms for a processor, who asked {unasked:.0f} ms")
    told.update(asked=told["asked"] + 1, slow=told["slow"] + (took > live), longest=max(told["longest"], took))
    time.sleep(0.02)
print(json.dumps(told))
"""


@asynccontextmanager
async def watched(port: int, worker: WorkerProcess, tidy: Callable[[], None], result: Fuzzed) -> AsyncIterator[None]:
    """Asks /livez again and again, from a process of its own: what holds up this one is no word about the worker."""
    asker = await asyncio.create_subprocess_exec(sys.executable, "-c", WATCH, str(port), str(LIVE), str(worker.process.pid), stdout=asyncio.subprocess.PIPE)
    weighing = asyncio.create_task(weigh(worker, tidy, result))
    try:
        yield
    finally:
        weighing.cancel()
        asker.terminate()
        told, _ = await asker.communicate()
        for name, value in orjson.loads(told).items():
            setattr(result, name, value)
        await asyncio.gather(weighing, return_exceptions=True)


async def weigh(worker: WorkerProcess, tidy: Callable[[], None], result: Fuzzed) -> None:
    """The worker's memory at its largest; `tidy` keeps this process small."""
    while worker.running:
        result.memory = max(result.memory, resident(worker))
        tidy()
        await asyncio.sleep(0.1)


async def count_settled(worker: WorkerProcess, other: OtherSystem) -> dict[str, int]:
    """Messages that came to an end, by route: those that the worker settled, and those that the broker buried."""
    counts = {}
    for route in ROUTES:
        name = "rb" if route == "go" else route
        total = await worker.metric("messages_total", route=name) - await worker.metric("messages_total", route=name, result="retried")
        counts[route] = int(total)
    return counts


async def all_settled(worker: WorkerProcess, other: OtherSystem, result: Fuzzed) -> bool:
    """A run counts twice and more: its start, and each of its steps."""
    result.settled = await count_settled(worker, other)
    queues = (*ROUTES, "halo.retry.1s", "halo.retry.1m", "halo.retry.due", "halo.run.rb", "lanes.order")
    result.waiting = {queue: depth for queue in queues if (depth := await other.depth(queue))}
    return not result.waiting and all(result.settled[route] >= result.sent[route] for route in ROUTES)


async def goes_on(url: str, worker: WorkerProcess, other: OtherSystem, result: Fuzzed) -> None:
    """Every route still does what it is for."""
    good = {"id": 7, "name": "good", "tags": ["a"]}
    bodies = dict.fromkeys(ROUTES, good) | {
        "raw": {"payload": {"id": 7, "notes": "good"}},
        "gone": {"path": {"id": 10**7}},
        "go": {"name": "good", "number": 1},
    }
    before = {route: await done_of(worker, route) for route in ROUTES}
    async with stranger(url) as sender:
        for route, body in bodies.items():
            await sender.send(orjson.dumps(body), f"to.{route}", "erp", {"order-id": "the last"})
            result.sent[route] += 1
    for route in ROUTES:
        try:
            await until(lambda route=route: more_done(worker, route, before[route]))
        except TimeoutError:
            result.broken.append(f"the route {route} does nothing any more")
    await until(lambda: all_settled(worker, other, result))


async def more_done(worker: WorkerProcess, route: str, before: float) -> bool:
    return await done_of(worker, route) > before


async def done_of(worker: WorkerProcess, route: str) -> float:
    name = "rb" if route == "go" else route
    return sum([await worker.metric("messages_total", route=name, result=result) for result in SETTLED])


async def judge(worker: WorkerProcess, other: OtherSystem, result: Fuzzed) -> None:
    """What was promised."""
    if spied := await other.depth(SPY):
        result.broken.append(f"{spied} messages came into a queue that their sender may not write to")
    for kind in KINDS:
        if refused := await worker.metric("refused_state_total", kind=kind):
            result.broken.append(f"{refused:.0f} of kind {kind} came where only workers write")
    for route in ROUTES:
        if route != "go" and result.settled[route] != result.sent[route]:
            result.broken.append(f"{route}: {result.sent[route]} sent, {result.settled[route]} settled")
        dead = await other.depth(f"{route}.dead")
        name = "rb" if route == "go" else route
        buried = sum(
            [
                await worker.metric("messages_total", route=name, result=f"dead_{each}")
                for each in ("decode", "transform", "rejected", "auth", "in_doubt", "retries_exhausted", "crashed", "failed")
            ]
        )
        if route != "go" and dead != buried:
            result.broken.append(f"{route}: {buried:.0f} buried, {dead} letters")
    status, _ = await worker.get("/readyz")
    if status != 200:
        result.broken.append(f"not ready: {await worker.parts()}")
