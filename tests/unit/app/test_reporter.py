"""When a replica reports its state: at its pace, and at once when the state of a route changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from worker.app.reporter import CHANGE_DELAY, INTERVAL, MANY_ROUTES, Reporter
from worker.catalogue.catalogue import load
from worker.config.routes import Publisher, Routes, Subscriber
from worker.core.health import Health
from worker.metrics import Metrics
from worker.state.route_control import RouteControl
from worker.state.sealed import unseal

KEY = b"k" * 32
ASSETS, TICKETS = load().find("Asset", "POST"), load().find("Tickets", "GET")


class Over(Exception):
    """The time of the test is over."""


class Replica:
    """A reporter with a clock and a broker of the test's own. `at`: what happens at a second."""

    def __init__(self, publishers: int, at: Mapping[float, Callable[[Replica], None]], end: float) -> None:
        self.time, self.told, self._at, self._end = 0.0, list[tuple[float, dict[str, Any]]](), dict(at), end
        self.health, self.metrics = Health(), Metrics()
        names = [f"p{number}" for number in range(publishers)]
        routes = Routes(publishers={name: Publisher(name, "main", name, ASSETS) for name in names}, subscribers={"feed": Subscriber("feed", "main", TICKETS)})
        flows = [SimpleNamespace(route=name, part=f"publisher {name}") for name in names] + [SimpleNamespace(route="feed", part="subscriber feed")]
        for flow in flows:
            self.health.up(flow.part, "consuming")
            self.metrics.consuming.labels(flow.route).set(1)
        self.problems = ["a mistake"]
        supervisor, control = SimpleNamespace(flows=flows), RouteControl(self, self.metrics)
        self.reporter = Reporter("a", lambda: routes, lambda: self.problems, supervisor, control, self.health, self.metrics, self, 0.0)

    def now(self) -> float:
        return self.time

    monotonic = now

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        for when in [when for when in self._at if when <= self.time]:
            self._at.pop(when)(self)
        if self.time > self._end:
            raise Over

    async def queue_exists(self, _: str) -> bool:
        return False

    async def queue_depth(self, _: str) -> int:
        return 0

    async def publish(self, message: Any, *, routing_key: str) -> None:
        self.told.append((self.time, unseal(message.body, KEY, routing_key)))

    async def run(self) -> list[tuple[float, dict[str, Any]]]:
        """What was reported, and when."""
        with pytest.raises(Over):
            await self.reporter.serve(self, KEY)
        return self.told


def quiet(replica: Replica) -> None:
    """Nothing that is reported at once."""
    replica.metrics.messages.labels("p0", "done").inc()
    replica.metrics.succeeded.labels("p0").set(12.0)


CHANGES: Mapping[str, Callable[[Replica], None]] = {
    "down": lambda replica: replica.health.down("publisher p1", "x" * 400),
    "waits": lambda replica: replica.metrics.waiting.labels("p1", "budget").inc(),
    "consumes no more": lambda replica: replica.metrics.consuming.labels("p1").set(0),
    "the client is down": lambda replica: replica.health.down("client main", "no answer"),
    "one mistake fewer": lambda replica: replica.problems.clear(),
}


async def test_a_replica_in_which_nothing_changes_reports_at_its_pace():
    told = await Replica(3, {2.0: quiet}, end=4 * INTERVAL - 1).run()
    assert [at for at, _ in told] == [0.0, INTERVAL, 2 * INTERVAL, 3 * INTERVAL]
    settled = [{route["name"]: (route["settled"], route["last_success"]) for route in report["routes"]} for _, report in told]
    assert [each["p0"] for each in settled] == [(0, 0.0), (1, 12.0), (1, 12.0), (1, 12.0)]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_of_state_is_reported_at_once_and_only_once(change):
    told = await Replica(3, {CHANGE_DELAY: change}, end=2 * INTERVAL).run()
    assert [at for at, _ in told] == [0.0, CHANGE_DELAY, CHANGE_DELAY + INTERVAL]
    first, changed, later = ([(route["name"], route["state"], route["reason"]) for route in report["routes"]] + report["problems"] for _, report in told)
    assert first != changed == later
    assert len(orjson.dumps(changed)) < 1000, "a reason is cut"


async def test_a_replica_with_many_routes_reports_and_looks_at_a_third_of_the_pace():
    change = CHANGES["down"]
    told = await Replica(MANY_ROUTES + 1, {CHANGE_DELAY: change}, end=4 * INTERVAL - 1).run()
    assert [at for at, _ in told] == [0.0, 3 * CHANGE_DELAY, 3 * CHANGE_DELAY + 3 * INTERVAL]
    assert {report["interval"] for _, report in told} == {3 * INTERVAL}, "its readers wait as long before they take it to be gone"
