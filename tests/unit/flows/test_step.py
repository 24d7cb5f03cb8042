"""What an exchange means for a step: total over the fates, and nothing that may show twice is repeated by itself."""

from __future__ import annotations

from itertools import product

import pytest

from tests.tools.every import every
from worker.config.automation import Integration, IntegrationAuth, Method, Runbook, Step
from worker.core.exchange import Exchange, RequestResult
from worker.core.outcome import Ambiguous, DeadClass, Done, NotSent, Outcome, Refused
from worker.core.settlement import Ack, Bury, Retry, settle
from worker.flows.running.step import clients_of, method_outcome, read_outcome, with_requested_delays

ALL = list(product(RequestResult, (True, False), (True, False)))


def settled(outcome: Outcome) -> object:
    return settle(outcome, attempts=0, doubtful=False, delays=(10.0,))


@every(("fate", "repeatable", "down"), ALL)
def test_every_fate_of_a_method_has_an_outcome(fate: RequestResult, repeatable: bool, down: bool):
    outcome = method_outcome(Exchange(fate, 200, "why", body={"a": 1}, down=down), repeatable=repeatable)
    expected: dict[RequestResult, Outcome] = {
        RequestResult.DONE: Done("why", 200, {"a": 1}),
        RequestResult.DONE_UNREAD: Done("why", 200, {"a": 1}),
        RequestResult.NOT_SENT: NotSent("why", 200, counted=not down),
        RequestResult.THROTTLED: NotSent("why", 200, counted=not down),  # without a time to wait for
        RequestResult.AMBIGUOUS: Ambiguous("why", repeatable, 200, counted=not down),
        RequestResult.REJECTED: Refused(DeadClass.REJECTED, "why", 200),
        RequestResult.AUTH: Refused(DeadClass.AUTH, "why", 200),
    }
    assert outcome == expected[fate]


@pytest.mark.parametrize("fate", RequestResult)
def test_what_may_have_happened_and_may_not_happen_twice_is_never_tried_again(fate: RequestResult):
    settlement = settled(method_outcome(Exchange(fate, None, "why"), repeatable=False))
    if fate in {RequestResult.DONE, RequestResult.DONE_UNREAD, RequestResult.AMBIGUOUS}:
        assert isinstance(settlement, Ack | Bury)
    else:
        assert isinstance(settlement, Retry | Bury)


@every(("fate", "down"), list(product(RequestResult, (True, False))))
def test_a_read_is_done_only_when_it_was_read(fate: RequestResult, down: bool):
    outcome = read_outcome(Exchange(fate, 200, "why", down=down))
    assert isinstance(outcome, Done) == (fate is RequestResult.DONE)
    assert not isinstance(outcome, Ambiguous), "nothing is in doubt after a read"
    if isinstance(outcome, NotSent):
        assert outcome.counted == (not down and fate in {RequestResult.AMBIGUOUS, RequestResult.DONE_UNREAD})


def test_a_429_that_names_a_time_counts_as_no_attempt_and_waits_in_the_first_queue_that_is_long_enough():
    outcome = method_outcome(Exchange(RequestResult.THROTTLED, 429, "why", retry_after=100.0), repeatable=False)
    assert outcome == NotSent("why", 429, counted=False, after=100.0)
    asked = with_requested_delays(outcome, Step("ask", retry=(10.0, 60.0, 600.0)))
    settlement = settle(asked, attempts=2, doubtful=False, delays=(10.0,))
    assert isinstance(settlement, Retry)
    assert (settlement.delay, settlement.attempts, settlement.hold) == (120.0, 2, 0.0)


def test_a_429_that_names_a_day_is_waited_for_in_parts_in_no_ones_hand():
    outcome = with_requested_delays(NotSent("why", 429, counted=False, after=86_400.0), Step("ask", retry=()))
    settlement = settle(outcome, attempts=0, doubtful=False, delays=())
    assert isinstance(settlement, Retry)
    assert (settlement.delay, settlement.hold) == (900.0, 0.0)


def test_the_clients_of_a_runbook_are_those_of_its_actions_and_of_methods_with_halos_own_token():
    def step(name: str, **more: object) -> Step:
        return Step(name, **more)  # type: ignore[arg-type]

    method = Method("m", "own", "GET", ("/",))
    other = Method("m", "other", "GET", ("/",))
    integrations = {
        "own": Integration("own", "https://a.example", IntegrationAuth("halo", client="second"), {"m": method}),
        "other": Integration("other", "https://b.example", IntegrationAuth(), {"m": other}),
    }
    steps = [step("a", action=object(), client="main"), step("b", method=method), step("c", method=other), step("d", end="done")]
    assert clients_of(Runbook("rb", "a", {found.name: found for found in steps}), integrations) == {"main", "second"}
    assert clients_of(Runbook("rb", "c", {"c": steps[2]}), integrations) == set()
