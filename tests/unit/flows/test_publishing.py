"""What becomes of a step that publishes: a copy has the id of the first message, and each refusal of the broker means something else."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.tools.evaluating import InProcess
from tests.unit.flows.routes import Impatient
from worker.config.control_steps import Publication
from worker.config.run_templates import compile_run_template
from worker.config.run_values import Values
from worker.core.errors import BrokerUnreachable, ChannelLost, ExpressionError, PublishDoubtful, PublishRefused, Unpublishable, Unroutable
from worker.core.message import Message
from worker.core.outcome import Ambiguous, DeadClass, Done, NotSent, Refused
from worker.flows.running.publishing import publish
from worker.flows.running.run_message import Run


@dataclass
class Exchange:
    """Takes messages, or raises `error`."""

    error: Exception | None = None
    messages: list[Message] = field(default_factory=list)

    async def publish(self, message: Message, *, routing_key: str, exchange: str = "") -> None:
        assert (exchange, routing_key) == ("out", "k")
        if self.error is not None:
            raise self.error
        self.messages.append(message)


async def published(run: Run, exchange: Exchange, key: str = "k"):
    publication = Publication("out", compile_run_template(key), None, compile_run_template({"a": 1}))
    return await publish(publication, run, Values(), exchange, InProcess(), Impatient())


async def test_a_copy_of_a_step_publishes_under_the_same_id_and_any_other_step_under_another():
    exchange = Exchange()
    for run in (Run("r", "rb", visit=1), Run("r", "rb", visit=1), Run("r", "rb", visit=2), Run("s", "rb", visit=1)):
        assert await published(run, exchange) == Done("published")
    first, copy, later, other = [message.message_id for message in exchange.messages]
    assert first == copy
    assert len({first, later, other}) == 3


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Unroutable("none"), Refused(DeadClass.REJECTED, "exchange 'out' has no queue for the message: bind one for its routing key")),
        (Unpublishable("too large"), Refused(DeadClass.REJECTED, "too large")),
        (PublishRefused("full"), NotSent("full")),
        (PublishDoubtful("no confirm"), Ambiguous("no confirm", repeatable=True, counted=False)),
        (ChannelLost("gone"), NotSent("gone", counted=False)),
        (BrokerUnreachable("away"), NotSent("away", counted=False)),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_refusal_fails_the_step_and_what_may_pass_is_tried_again(error, outcome):
    assert await published(Run("r", "rb"), Exchange(error)) == outcome


@pytest.mark.parametrize("key", ["x" * 256, "{{ 7 }}", "ü" * 128])
async def test_a_routing_key_that_amqp_cannot_carry_fails_the_run(key):
    with pytest.raises(ExpressionError, match="routing_key"):
        await published(Run("r", "rb"), Exchange(), key)
