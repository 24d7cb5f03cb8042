"""What is told of a message: the wait before its next attempt is among it, wherever the message spends it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from worker.core.delivery_state import DeliveryState
from worker.core.message import Message
from worker.core.outcome import NotSent
from worker.core.settlement import Retry
from worker.flows.consuming.plain_job import DELIVERIES, LONGEST_DELAY, SUSPECT, redelivery_delay
from worker.flows.consuming.report import report
from worker.metrics import Metrics

ENVELOPE = DeliveryState("m1", "c1", "", "assets")


@pytest.mark.parametrize(("delay", "hold", "told"), [(10.0, 0.0, 10.0), (None, 40.0, 40.0), (None, 0.0, None)], ids=["retry queue", "in hand", "at once"])
def test_a_message_that_is_tried_again_is_told_with_its_wait(delay: float | None, hold: float, told: float | None):
    with capture_logs() as logs:
        report(Metrics(), "erp", NotSent("x"), Retry(delay, 1, doubtful=False, reason="x", hold=hold), ENVELOPE, 0.5)
    assert [(line["event"], line["delay"]) for line in logs] == [("message.retried", told)]


@pytest.mark.parametrize("headers", [{}, {DELIVERIES: 1}, {DELIVERIES: SUSPECT - 1}, {DELIVERIES: "many"}])
def test_a_message_that_was_hardly_handed_out_is_begun_at_once(headers: dict[str, object]):
    assert redelivery_delay(SimpleNamespace(message=Message(b"{}", headers), redelivered=True)) == 0.0


@pytest.mark.parametrize(("deliveries", "longest"), [(SUSPECT, 1.0), (SUSPECT + 2, 3.0), (19, LONGEST_DELAY)])
def test_those_that_come_again_and_again_are_begun_apart_so_that_one_does_not_take_the_others_with_it(deliveries: int, longest: float):
    pauses = [redelivery_delay(SimpleNamespace(message=Message(b"{}", {DELIVERIES: deliveries}), redelivered=True)) for _ in range(400)]
    assert 0.0 <= min(pauses) < longest / 10
    assert longest * 0.9 < max(pauses) <= longest


def test_a_count_that_only_a_sender_can_have_written_makes_nothing_wait():
    assert redelivery_delay(SimpleNamespace(message=Message(b"{}", {DELIVERIES: 19}), redelivered=False)) == 0.0
