"""Steps that call nothing: variables that are set, waits that lie in a queue, messages that are published."""

from __future__ import annotations

import pytest

from tests.flows.runbooks.conftest import GO, call, integration, play, runbook
from worker.core.topology import AmqpExchange, Binding, Topology, browsable_queue, retry_queue
from worker.flows.running.run_message import Run

SHOW = {"show": {"method": "POST", "path": "/things", "body": {"sum": "<<Sum>>", "text": "a <<Text>> b", "old": "<<Number>>"}}}


async def test_set_computes_variables_of_those_before_the_step(memory_job, api):
    steps = {
        "compute": {
            "set": {"Sum": "{{ $sum(request.prices) }}", "Text": "no. <<Number>>", "Number": "{{ Number + 1 }}", "Gone?": "{{ nothing }}"},
            "next": "show",
        },
        "show": call("show"),
    }
    scene = await play(memory_job, api, steps, methods=SHOW)
    await scene.begin({"number": 7, "prices": [1, 2, 3]})
    await scene.done()
    assert api.calls[0].body == {"sum": 6, "text": "a no. 7 b", "old": 8}


async def test_a_set_whose_expression_yields_nothing_fails_the_run_and_says_which(memory_job, api):
    scene = await play(memory_job, api, {"compute": {"set": {"Sum": "{{ request.nothing }}"}}})
    await scene.begin()
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "transform"
    assert letter.headers["dead-reason"].startswith("step 'compute': `set.Sum` is missing")


async def test_a_wait_lies_in_a_delay_queue_and_outlives_its_worker(job, api):
    scene = await play(job, api, {"pause": {"wait": "2s", "next": "ask"}, "ask": call()})
    await scene.begin()
    await scene.running.settled("rb", "passed", 2)  # its start, and the step that waits
    await scene.running.stop()
    assert await job.other.depth(retry_queue(2.0)) + await job.other.depth("halo.retry.due") == 1
    assert api.calls == []
    again = await job.start({"integrations": {"api": integration(api)}, "runbooks": {"rb": runbook({"pause": {"wait": "2s", "next": "ask"}, "ask": call()})}})
    await again.settled("rb", "done")
    assert len(api.calls) == 1


async def test_a_published_message_carries_body_headers_and_the_id_of_its_run(job, api):
    await job.other.broker.declare(Topology((AmqpExchange("out"),), (browsable_queue("billing"),), (Binding("out", "runs.*", "billing"),)))
    publish = {"exchange": "out", "routing_key": "runs.<<Number>>", "headers": {"x-number": "<<Number>>", "none": "<<Missing>>"}, "body": {"name": "<<Name>>"}}
    steps = {"see": {"set": {"Missing": None}, "next": "tell"}, "tell": {"publish": publish}}
    scene = await play(job, api, steps)
    await scene.begin()
    letter = await job.other.take("billing")
    assert (letter.exchange, letter.routing_key, letter.body) == ("out", "runs.7", {"name": "Ada"})
    assert {name: value for name, value in letter.headers.items() if not name.startswith("x-delivery")} == {"x-number": 7}
    assert letter.message.correlation_id
    assert letter.message.message_id
    await scene.done()


async def test_a_message_that_no_queue_takes_fails_its_step(job, api):
    steps = {"tell": {"publish": {"exchange": "out", "routing_key": "nobody"}, "on_failure": "other"}, "other": {"end": "failed", "reason": "not told"}}
    scene = await play(job, api, steps)
    await scene.begin()
    assert (await scene.letter()).headers["dead-reason"] == "not told"


async def test_without_on_failure_the_letter_says_that_no_queue_takes_the_message(memory_job, api):
    scene = await play(memory_job, api, {"tell": {"publish": {"exchange": "out", "routing_key": "nobody"}}})
    await scene.begin()
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "rejected"
    assert letter.headers["dead-reason"] == "step 'tell': exchange 'out' has no queue for the message: bind one for its routing key"


@pytest.mark.parametrize("value", [{"a": 1}, [1], 2**63])
async def test_a_header_that_amqp_cannot_carry_fails_the_run_by_name(memory_job, api, value):
    scene = await play(memory_job, api, {"tell": {"publish": {"exchange": "out", "routing_key": "k", "headers": {"x-name": "<<Name>>"}}}})
    await scene.begin({"name": value})
    letter = await scene.letter()
    assert letter.headers["dead-class"] == "transform"
    assert "the header 'x-name'" in letter.headers["dead-reason"]


async def test_a_queue_that_is_bound_gets_the_messages_of_its_exchange(job, api):
    scene = await play(job, api, {"ask": call()}, start={"queue": GO, "bind": [{"exchange": "erp", "routing_key": "order.*"}]})
    await job.other.broker.publish(Run("x", "rb", request={}).message(), routing_key="order.new", exchange="erp")
    await scene.done()
    assert len(api.calls) == 1
