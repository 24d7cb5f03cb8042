"""What `plan` says is what the worker sends: the journal of the simulated Halo has the same requests, byte for byte."""

from __future__ import annotations

import random
from collections import Counter
from hashlib import sha256

import pytest

from tests.flows.planning.conftest import loaded, planning
from tests.tools.job import publisher, routes
from tests.tools.random_messages import random_message
from worker.app.planning.planner import PlanInput
from worker.flows.local.delivery import LocalLedger

ROUTES = {
    "assets": publisher(
        queue="assets",
        when="{{ $not(severity = 0) }}",
        transform={
            "query": {"returnall": "{{ tags }}"},
            "payload": {
                "inventory_number": "{{ serial }}",
                "client_id": "{{ customer.id }}",
                "notes": "for {{ serial }}, {{ why }}",
                "tag": "{{ $headers.`x-tag` }}",
                "key": "{{ $message.routing_key }}",
                "extra": "{{ extra }}",
            },
        },
        allow_unknown=True,
        retry=[],
    ),
    "whole": publisher(queue="whole", transform='{"payload": $merge([{"inventory_number": serial}, extra])}', allow_unknown=True, retry=[]),
    "raw": publisher(queue="raw", retry=[]),
    "removals": publisher(queue="removals", method="DELETE", entity="Asset/{id}", transform={"path": {"id": "{{ id }}"}, "query": {"reason": "{{ why }}"}}, allow_unknown=True, retry=[]),
    "form": publisher(queue="form", entity="Attachment/image", concurrency=1, transform={"payload": {"name": "{{ serial }}", "file": {"data_base64": "AAEC"}, "extra": "{{ extra }}"}}, retry=[]),
    "once": publisher(queue="once", transform={"payload": {"inventory_number": "{{ serial }}"}}, once="{{ $message.id }}", retry=[]),
}  # fmt: skip
TAG = {"x-tag": "ü"}


@pytest.mark.parametrize(("seed", "count"), [(1, 300), *(pytest.param(seed, 2000, marks=pytest.mark.long) for seed in range(2, 7))], ids=str)
async def test_the_requests_in_the_journal_of_halo_are_those_of_the_plan_byte_for_byte(memory_job, halos, seed, count):
    rng = random.Random(seed)
    halo = await halos()
    definitions = routes(halo, publishers=ROUTES)
    known = loaded(memory_job.folder, definitions).publishers
    sent = [(rng.choice(list(ROUTES)), random_message(rng), f"c{seed}-{number}") for number in range(count)]
    running = await memory_job.start(definitions)
    for queue, body, correlation in sent:
        await memory_job.other.send(body, queue, headers=TAG, message_id=correlation, correlation_id=correlation)
    per_queue = Counter(queue for queue, _, _ in sent)

    def settled():
        return sum(running.messages(name, result) for name in ROUTES for result in RESULTS)

    await running.until(lambda: settled() >= count, within=240)
    assert settled() == sum(per_queue.values())
    letters = {letter.message.message_id: letter for queue in ROUTES for letter in await memory_job.other.drain(f"{queue}.dead")}
    await running.stop()

    received = {}
    for entry in halo.journal.received():
        if entry.correlation is not None:
            received.setdefault(entry.correlation, []).append((entry.method, entry.target, entry.body_digest))
    ledger, met = LocalLedger(), Counter()
    async with planning(loaded(memory_job.folder, definitions), *known.values()) as planner:
        for queue, body, correlation in sent:
            plan = await planner.plan(known[queue], PlanInput(body, TAG), ledger)
            requests = [(request.method, request.target, sha256(request.body).hexdigest() if request.body is not None else "") for request in plan.requests]
            assert requests == received.get(correlation, []), (queue, body)
            met[plan.outcome] += 1
            if plan.outcome == "dead":
                headers = letters[correlation].headers
                assert (plan.dead_class, plan.reason) == (headers["dead-class"], headers["dead-reason"]), (queue, body)
            elif not requests:
                assert (plan.outcome, correlation in letters) == ("skipped", False), (queue, body)
    assert set(met) == {"request", "skipped", "dead"}, "the messages meet every end"
    assert met["request"] > count / 5


RESULTS = ("done", "skipped", "dead_decode", "dead_transform", "dead_rejected", "dead_in_doubt", "dead_auth", "dead_retries_exhausted")
