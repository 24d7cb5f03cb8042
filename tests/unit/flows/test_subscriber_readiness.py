"""What readiness says of a subscriber after its polls, on the replica that had the turn and on the others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from tests.tools.evaluating import InProcess
from tests.unit.flows.routes import ScriptedHalo, subscriber
from worker.core.health import Health
from worker.flows.polling.subscriber import ERROR_WAIT, LOGGED_FAILURES, SubscriberFlow
from worker.flows.polling.turn import TurnResult
from worker.metrics import Metrics

FAILED = TurnResult({}, None, ended=True, error="Halo answered 500")
WRONG_KEY = replace(FAILED, error="id does not identify a record", ambiguous=True)
GOOD = TurnResult({}, None, ended=True, error="")
INCOMPLETE = replace(GOOD, incomplete="counts disagree")
GOES_ON = TurnResult({}, (), ended=False, error="")


@dataclass
class Clock:
    at: float = 0.0

    def monotonic(self) -> float:
        return self.at


class Flow(SubscriberFlow):
    def __init__(self) -> None:
        self.health, self.metrics, self.clock = Health(), Metrics(), Clock()
        super().__init__(subscriber(), ScriptedHalo([]), InProcess(), self.clock, self.metrics, self.health, turn_limit=60.0)  # type: ignore[arg-type]

    def told(self) -> tuple[bool, str]:
        part = self.health.parts[self.part]
        return part.ok, part.detail

    def counted(self) -> float | None:
        return self.metrics.registry.get_sample_value("halo_worker_failed_polls_in_a_row", {"route": "tickets"})


@pytest.mark.parametrize("failures", range(1, 6))
def test_a_subscriber_that_failed_several_times_in_a_row_is_not_ready_and_says_how_often(failures: int):
    flow = Flow()
    flow._report(FAILED, failures)
    ready, detail = flow.told()
    assert ready == (failures < LOGGED_FAILURES)
    assert FAILED.error in detail
    if not ready:
        assert detail.startswith(f"{failures} polls in a row failed")
    assert flow.counted() == failures


def test_a_wrong_key_is_told_at_once():
    flow = Flow()
    flow._report(WRONG_KEY, 1)
    assert flow.told() == (False, WRONG_KEY.error)


def test_one_good_poll_ends_it_and_an_incomplete_one_says_why():
    flow = Flow()
    for result, expected in ((FAILED, False), (GOES_ON, False), (INCOMPLETE, True), (FAILED, False), (GOOD, True)):
        flow._report(result, 9 if result is FAILED else 0)
        assert flow.told()[0] == expected
    assert flow.told() == (True, "polling")
    flow._report(INCOMPLETE, 0)
    assert "counts disagree" in flow.told()[1]
    assert flow.counted() == 0


def test_a_replica_that_has_had_no_turn_for_long_leaves_the_judgement_to_those_that_have():
    flow = Flow()
    flow._report(FAILED, 3)
    flow.clock.at = 2 * ERROR_WAIT
    flow._forget_old_failures()
    assert not flow.told()[0]
    flow.clock.at += 1
    flow._forget_old_failures()
    assert flow.told()[0]
    assert flow.counted() == 0
