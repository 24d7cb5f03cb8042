"""What becomes of a message: for every outcome, whatever its history."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.core.outcome import Ambiguous, DeadClass, Done, NotSent, Outcome, Refused, Skipped
from worker.core.settlement import Ack, Bury, Retry, settle

STATUS = st.none() | st.integers(100, 599)
REASON = st.text(max_size=10)
OUTCOMES: st.SearchStrategy[Outcome] = st.one_of(
    st.builds(Done, REASON, STATUS),
    st.builds(Skipped, REASON),
    st.builds(Refused, st.sampled_from(DeadClass), REASON, STATUS),
    st.builds(NotSent, REASON, STATUS, st.booleans()),
    st.builds(Ambiguous, REASON, st.booleans(), STATUS, st.booleans()),
)
ATTEMPTS = st.integers(0, 12)
DELAYS = st.lists(st.floats(0.001, 1e6), max_size=6).map(tuple)


@given(OUTCOMES, ATTEMPTS, st.booleans(), DELAYS)
def test_every_outcome_settles(outcome: Outcome, attempts: int, doubtful: bool, delays: tuple[float, ...]):
    settlement = settle(outcome, attempts=attempts, doubtful=doubtful, delays=delays)
    assert isinstance(settlement, Ack | Retry | Bury)
    assert isinstance(settlement, Ack) == isinstance(outcome, Done | Skipped)


@given(OUTCOMES, ATTEMPTS, st.booleans(), DELAYS)
def test_whatever_is_not_acked_carries_the_reason(outcome: Outcome, attempts: int, doubtful: bool, delays: tuple[float, ...]):
    settlement = settle(outcome, attempts=attempts, doubtful=doubtful, delays=delays)
    if isinstance(settlement, Retry | Bury):
        assert settlement.reason == outcome.reason  # type: ignore[union-attr]


@given(st.builds(Ambiguous, REASON, st.just(False), STATUS, st.booleans()), ATTEMPTS, st.booleans(), DELAYS)
def test_what_may_have_happened_and_cannot_be_looked_up_is_never_repeated(outcome: Ambiguous, attempts: int, doubtful: bool, delays: tuple[float, ...]):
    settlement = settle(outcome, attempts=attempts, doubtful=doubtful, delays=delays)
    assert settlement == Bury(DeadClass.IN_DOUBT, outcome.reason, outcome.status, attempts + 1, doubtful=True)


@given(REASON, STATUS, ATTEMPTS, st.booleans(), DELAYS)
def test_what_was_no_fault_of_the_message_goes_back_to_its_own_queue_uncounted(
    reason: str, status: int | None, attempts: int, doubtful: bool, delays: tuple[float, ...]
):
    unsent, unknown = NotSent(reason, status, counted=False), Ambiguous(reason, True, status, counted=False)
    assert settle(unsent, attempts=attempts, doubtful=doubtful, delays=delays) == Retry(None, attempts, doubtful, reason)
    assert settle(unknown, attempts=attempts, doubtful=doubtful, delays=delays) == Retry(None, attempts, doubtful=True, reason=reason)


@given(st.builds(NotSent, REASON, STATUS) | st.builds(Ambiguous, REASON, st.just(True), STATUS), st.booleans(), DELAYS.filter(bool))
def test_a_message_takes_every_delay_once_in_order_and_is_then_exhausted(outcome: NotSent | Ambiguous, doubtful: bool, delays: tuple[float, ...]):
    taken, attempts = [], 0
    while isinstance(settlement := settle(outcome, attempts=attempts, doubtful=doubtful, delays=delays), Retry):
        taken.append(settlement.delay)
        attempts, doubtful = settlement.attempts, settlement.doubtful
    assert tuple(taken) == delays
    assert settlement == Bury(DeadClass.RETRIES_EXHAUSTED, outcome.reason, outcome.status, len(delays) + 1, doubtful or isinstance(outcome, Ambiguous))


def test_without_retries_the_first_failure_is_the_last():
    assert settle(NotSent("no"), attempts=0, doubtful=False, delays=()) == Bury(DeadClass.RETRIES_EXHAUSTED, "no", None, 1)


@given(st.lists(OUTCOMES, max_size=8), DELAYS)
def test_once_doubtful_a_message_stays_doubtful_through_all_its_retries(outcomes: list[Outcome], delays: tuple[float, ...]):
    attempts, doubtful = 0, False
    for outcome in outcomes:
        settlement = settle(outcome, attempts=attempts, doubtful=doubtful, delays=delays)
        if not isinstance(settlement, Retry):
            return
        assert settlement.doubtful == (doubtful or isinstance(outcome, Ambiguous))
        assert settlement.attempts >= attempts
        attempts, doubtful = settlement.attempts, settlement.doubtful


@given(st.builds(NotSent, REASON, STATUS, st.booleans()), st.booleans(), DELAYS.filter(bool))
def test_an_attempt_that_did_nothing_takes_no_doubt_away(outcome: NotSent, doubtful: bool, delays: tuple[float, ...]):
    settlement = settle(outcome, attempts=0, doubtful=doubtful, delays=delays)
    assert isinstance(settlement, Retry)
    assert settlement.doubtful == doubtful


@given(st.builds(Refused, st.sampled_from(DeadClass), REASON, STATUS), ATTEMPTS, st.booleans(), DELAYS)
def test_what_will_never_work_is_buried_with_its_class_and_status(outcome: Refused, attempts: int, doubtful: bool, delays: tuple[float, ...]):
    settlement = settle(outcome, attempts=attempts, doubtful=doubtful, delays=delays)
    undecided = outcome.dead_class in {DeadClass.AUTH, DeadClass.IN_DOUBT}
    assert settlement == Bury(outcome.dead_class, outcome.reason, outcome.status, attempts + 1, doubtful and undecided)


@pytest.mark.parametrize("outcome", [Done(), Skipped()])
def test_the_history_of_a_message_that_is_done_does_not_matter(outcome: Outcome):
    assert settle(outcome, attempts=99, doubtful=True, delays=()) == Ack()


def test_values_of_dead_classes_are_those_that_headers_and_commands_name():
    assert [str(dead_class) for dead_class in DeadClass] == ["decode", "transform", "rejected", "auth", "in_doubt", "retries_exhausted", "crashed", "failed"]
    assert replace(Bury(DeadClass.AUTH, "x", 403, 1), attempts=2).attempts == 2
