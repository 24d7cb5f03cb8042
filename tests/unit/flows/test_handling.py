"""What is told of a message: the wait before its next attempt is among it, wherever the message spends it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from worker.core.outcome import Unsent
from worker.core.settlement import Retry
from worker.flows.consuming.envelope import Envelope
from worker.flows.consuming.handling import report
from worker.metrics import Metrics

ENVELOPE = Envelope("m1", "c1", 0, doubtful=False, redelivered=False, exchange="", routing_key="assets")


@pytest.mark.parametrize(("delay", "hold", "told"), [(10.0, 0.0, 10.0), (None, 40.0, 40.0), (None, 0.0, None)], ids=["retry queue", "in hand", "at once"])
def test_a_message_that_is_tried_again_is_told_with_its_wait(delay: float | None, hold: float, told: float | None):
    with capture_logs() as logs:
        report(Metrics(), "erp", Unsent("x"), Retry(delay, 1, doubtful=False, reason="x", hold=hold), ENVELOPE, 0.5)
    assert [(line["event"], line["delay"]) for line in logs] == [("message.retried", told)]
