"""Carries out the blows: each in a task of its own, and undone when its time is over."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import replace

from tests.chaos.points import Point
from tests.chaos.schedule import EVERYBODY, NODE, Blow
from tests.chaos.world import Replica, World
from tests.tools.proxy import Proxy
from worker.sandbox.faults import Fault, FaultBody, FaultKind

POINT_WITHIN = 5.0
STOPPED = 7.0  # longer than the broker waits for heartbeats
WRITES = {"method": "POST", "path": "/api/*", "times": None}


class Nemesis:
    """`struck` counts what really happened; a point that nobody came by is a blow into the air."""

    def __init__(self, world: World, say: Callable[[str], None]) -> None:
        self._world = world
        self._say = say
        self._node = asyncio.Lock()
        self.struck = 0
        self.missed = 0

    async def rage(self, blows: Iterable[Blow], before: Callable[[], Awaitable[object]] | None = None) -> None:
        """All blows at their times; returns when the last is over. `before` each blow, something may be done."""
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for blow in blows:
                if before is not None:
                    await before()
                await asyncio.sleep(began + blow.at - asyncio.get_running_loop().time())
                self._say(str(blow))
                tasks.create_task(self._strike(blow))

    async def heal(self) -> None:
        """As if nothing had been: whoever is stopped goes on, everybody is there."""
        self._world.halo.faults.clear()
        self._world.halo.settings = replace(self._world.halo.settings, list_lag=0.0)
        for each in self._world.replicas:
            for proxy in (*each.brokers, each.halo):
                proxy.refusing, proxy.latency, proxy.watch = False, 0.0, None
                proxy.release()
            each.signal(signal.SIGCONT)
            async with each.busy:
                if each.worker is None:
                    await self._world.start(each)

    async def _strike(self, blow: Blow) -> None:
        self.struck += 1
        if blow.kind in NODE:
            async with self._node:  # one thing at a time: rabbitmqctl needs a node to talk to
                await self._at_the_node(blow)
        elif blow.kind == "halo fault":
            await self._at_halo(blow)
        elif blow.kind == "point":
            await self._at_point(blow, self._world.replicas[blow.who])
        else:
            async with asyncio.TaskGroup() as tasks:
                for each in self._world.replicas if blow.who == EVERYBODY else [self._world.replicas[blow.who]]:
                    tasks.create_task(self._at_replica(blow, each))

    async def _at_replica(self, blow: Blow, replica: Replica) -> None:
        match blow.kind:
            case "kill":
                await self._replaced(replica, self._world.kill, blow.seconds)
            case "term":
                await self._replaced(replica, self._terminated, blow.seconds)
            case "stop":
                await self._frozen(replica, blow.seconds)
            case _:
                with replica.hindrance():
                    await self._between(blow, replica.halo if blow.kind.startswith("halo") else replica.broker)

    async def _between(self, blow: Blow, proxy: Proxy) -> None:
        match blow.kind.split()[1]:
            case "reset":
                proxy.reset()
            case "hold":
                proxy.hold(up=blow.dice < 0.7, down=blow.dice > 0.3)
                await asyncio.sleep(blow.seconds)
                proxy.release()
            case "refuse":
                proxy.refusing = True
                proxy.reset()
                await asyncio.sleep(blow.seconds)
                proxy.refusing = False
            case "slow":
                proxy.latency = 0.2 * blow.dice
                await asyncio.sleep(blow.seconds)
                proxy.latency = 0.0

    async def _terminated(self, replica: Replica) -> None:
        """Who does not listen yet ends of a SIGTERM as of a SIGKILL; who is stopped does not hear it."""
        if replica.listening and not replica.stopped:
            await self._world.terminate(replica)

    async def _replaced(self, replica: Replica, end: Callable[[Replica], Awaitable[None]], pause: float) -> None:
        async with replica.busy:
            if replica.worker is not None:
                await end(replica)
            await asyncio.sleep(pause)
            if replica.worker is None:
                await self._world.start(replica)

    async def _frozen(self, replica: Replica, seconds: float) -> None:
        """Stopped and continued: a zombie that knows nothing of the time between."""
        with replica.hindrance():
            replica.stopped = True
            replica.signal(signal.SIGSTOP)
            await asyncio.sleep(seconds)
            replica.signal(signal.SIGCONT)
            replica.stopped = False

    async def _at_point(self, blow: Blow, replica: Replica) -> None:
        point = Point(replica, blow.detail, vanishes=blow.vanishes)
        if not await point.reached(POINT_WITHIN):
            self.missed += 1
            if blow.action != "kill":
                self.struck -= 1
                return
        match blow.action:
            case "kill":
                replica.signal(signal.SIGKILL)
                await self._replaced(replica, self._world.kill, blow.seconds)
            case "stop":
                await self._frozen(replica, STOPPED)
            case _:
                (replica.halo if "post" in blow.detail or "lookup" in blow.detail else replica.broker).reset()
        point.lift()

    async def _at_the_node(self, blow: Blow) -> None:
        rabbitmq = self._world.rabbitmq
        steps: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "connections closed": (lambda: rabbitmq.ctl("close_all_connections", "chaos"), lambda: None),
            "memory alarm": (
                lambda: rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "1MB"),
                lambda: rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "2GB"),
            ),
            "disk alarm": (lambda: rabbitmq.ctl("set_disk_free_limit", "9999GB"), lambda: rabbitmq.ctl("set_disk_free_limit", "50MB")),
            "broker stopped": (lambda: rabbitmq.ctl("stop_app"), lambda: rabbitmq.ctl("start_app")),
            "broker killed": (rabbitmq.kill, rabbitmq.start),
        }
        begin, end = steps[blow.kind]
        with ExitStack() as stack:
            for each in self._world.replicas:
                stack.enter_context(each.hindrance())
            await asyncio.to_thread(begin)
            await asyncio.sleep(blow.seconds)
            await asyncio.to_thread(end)

    async def _at_halo(self, blow: Blow) -> None:
        halo, chance = self._world.halo, 0.3 + blow.dice * 0.7
        executed = blow.dice * 10 % 1 < 0.6
        status = (500, 502, 503, 504)[int(blow.dice * 100) % 4]
        often = WRITES | {"probability": chance, "seed": int(blow.dice * 1000)}
        fault = {
            "reset": Fault(FaultKind.RESET, executed=executed, **often),
            "close": Fault(FaultKind.CLOSE, executed=executed, **often),
            "cut": Fault(FaultKind.CUT, **often),
            "status": Fault(FaultKind.ANSWER, status=status, executed=executed, **often),
            "html": Fault(FaultKind.HTML, executed=executed, **often),
            "throttled": Fault(FaultKind.ANSWER, status=429, body=FaultBody.STRING, text="too many requests", headers=(("Retry-After", "1"),), **often),
            "revoked": Fault(FaultKind.REVOKE, times=1),
            "slow": Fault(FaultKind.DELAY, seconds=2.0 + 4 * blow.dice, executed=True, **often),
            "drip": Fault(FaultKind.DRIP, method="GET", path="/api/*", times=None, probability=0.3, seconds=0.01),
            "token": Fault(FaultKind.ANSWER, path="/auth/token", times=2, status=status),
        }.get(blow.detail)
        if fault is None:
            halo.settings = replace(halo.settings, list_lag=0.5 * blow.dice)
        planned = None if fault is None else halo.fault(fault)
        await asyncio.sleep(blow.seconds)
        if planned is None:
            halo.settings = replace(halo.settings, list_lag=0.0)
        else:
            with suppress(KeyError):
                halo.faults.remove(planned.number)
