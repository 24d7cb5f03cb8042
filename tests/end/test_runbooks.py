"""Runs of a runbook outlive their workers: killed over and over, between steps and inside them, every run ends and its note stands once."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from random import Random

import pytest

from tests.flows.runbooks.conftest import api  # noqa: F401 - a fixture: an API whose answers the test writes
from tests.tools.job import client
from tests.tools.proxy import through_proxy
from tests.tools.waiting import SOON, soon, until
from worker.core.topology import RETRIES_DUE, dead_queue, retry_queue
from worker.flows.running.run_message import run_queue
from worker.sandbox.faults import Fault, FaultKind

GO, RUN = "ask", run_queue("ask-chatgpt")
RETRY = (0.1, 1.0)


def ask_chatgpt(halo, completions_url):
    """The runbook of Halo's guide; a question may be asked twice, a note is looked up."""
    completions = {
        "method": "POST",
        "path": "/chat/completions",
        "body": {"messages": [{"role": "user", "content": "<<Prompt>>"}]},
        "output": {"ResponseText": "response^choices[0]^message^content!"},
    }
    note = {"ticket_id": "<<TicketId>>", "outcome": "Note", "note_html": "<<ResponseText>>"}
    find = {"query": {"ticket_id": "<<TicketId>>", "includehtmlnote": True}, "match": {"note_html": "<<ResponseText>>"}, "then": "skip"}
    retry = ["100ms", "1s", "1s", "1s"]
    steps = {
        "asked": {"next": [{"when": "$exists(Prompt)", "go": "ask"}, {"go": "give_up"}]},
        "ask": {"method": "openai.completions", "in_doubt": "repeat", "retry": retry, "next": [{"when": "status = 200", "go": "reply"}, {"go": "give_up"}]},
        "reply": {"action": "create_action", "client": "main", "body": note, "find": find, "retry": retry, "next": "finished"},
        "finished": {"end": "done"},
        "give_up": {"end": "failed"},
    }
    variables = {"Prompt": "request^action^note!", "TicketId": "request^ticket^id"}
    return {
        "clients": {"main": client(halo, timeout="3s")},  # what a note that was under way is waited for, in part
        "integrations": {"openai": {"base_url": completions_url, "allow_hosts": ["127.0.0.1"], "methods": {"completions": completions}}},
        "runbooks": {"ask-chatgpt": {"start": {"queue": GO}, "input": variables, "first": "asked", "steps": steps}},
    }


class Observed:
    """What the outside saw of each run, by ticket, in order; every observation may be the moment to kill somebody."""

    def __init__(self, halo, rng):
        self.seen = defaultdict(list)
        self.in_hand = Counter()
        self._count = 0
        self._waiting = []
        self._rng = rng
        halo.on_request(self.requested)
        halo.store.on_change(self.stored)

    async def asked(self, call):
        prompt = call.body["messages"][0]["content"]
        self.note(int(prompt.removeprefix("question ")), "asked")
        await asyncio.sleep(self._rng.random() * 0.05)
        self.note(int(prompt.removeprefix("question ")), "answered")
        return 200, {"choices": [{"message": {"content": f"answer to {prompt}"}}]}

    def requested(self, received):
        if received.path == "/api/Actions" and received.method == "GET":
            self.note(int(received.query["ticket_id"]), "looked")

    def stored(self, change):
        if change.entity == "actions":
            self.note(change.row["ticket_id"], "noted")

    def note(self, ticket, what):
        self.seen[ticket].append(what)
        self._count += 1
        for wanted, event in self._waiting:
            if self._count >= wanted:
                event.set()

    def more(self, count):
        """Set once so much more has been seen than until now."""
        event = asyncio.Event()
        self._waiting.append((self._count + count, event))
        return event

    def killed(self):
        """Somebody is: the question of each run that has not gone on since may be asked once more."""
        self.in_hand.update(ticket for ticket, seen in self.seen.items() if seen[-1] in {"asked", "answered"})


async def nothing_left(other):
    queues = (GO, RUN, *map(retry_queue, RETRY), RETRIES_DUE)
    return all([await other.depth(queue) == 0 for queue in queues])


async def idle(worker):
    return not await worker.metric("messages_in_hand")


@pytest.mark.parametrize(("replicas", "seed"), [(2, 11), pytest.param(1, 4, marks=pytest.mark.long)])
async def test_killed_over_and_over_every_run_ends_with_one_note_and_no_finished_step_is_repeated(halos, stage, other, api, replicas, seed):  # noqa: F811
    rng = Random(seed)
    kills = 8
    halo = await halos(tickets=2 * kills)
    observed = Observed(halo, rng)
    api.on_call = observed.asked
    halo.fault(Fault(FaultKind.DELAY, "POST", "/Actions", times=None, seconds=0.03, executed=True))
    definition = ask_chatgpt(halo, api.url)
    workers = [await stage.start(definition, name=f"worker-{number}") for number in range(replicas)]
    tickets = range(1, kills + 1)
    for number in tickets:
        more = observed.more(rng.randint(1, 3))  # from before it is sent: a run may have begun when the broker confirms its message
        await other.send({"action": {"note": f"question {number}"}, "ticket": {"id": number}}, GO, message_id=f"note-{number}")
        async with asyncio.timeout(SOON):
            await more.wait()
        await asyncio.sleep(rng.random() * 0.02)
        victim = rng.randrange(replicas)
        await workers[victim].kill()
        observed.killed()
        workers[victim] = await stage.start(name=f"worker-{replicas + number}", ready=False)

    async def ended():
        return len(halo.journal.created("/Actions")) >= kills and await nothing_left(other) and all([await idle(worker) for worker in workers])

    await until(ended)
    assert [await worker.stop() for worker in workers] == [0] * replicas
    assert await nothing_left(other), "what was in somebody's hands would have come back"
    assert await other.depth(dead_queue(RUN)) == 0
    notes = [record for entry in halo.journal.executed("POST", "/Actions") for record in entry.body]
    assert Counter(note["ticket_id"] for note in notes) == Counter(tickets)
    assert all(note["note_html"] == f"answer to question {note['ticket_id']}" for note in notes)
    for ticket in tickets:
        seen = observed.seen[ticket]
        gone_on = next(place for place, what in enumerate(seen) if what in {"looked", "noted"})
        assert "asked" not in seen[gone_on:], f"a finished step of run {ticket} was repeated: {seen}"
        assert seen.count("asked") <= 1 + observed.in_hand[ticket], f"a step was repeated that nobody had in hand: {seen}"


def post_then_put(url):
    """Two steps, one at a time, of which the first may not be repeated."""
    methods = {verb: {"method": verb.upper(), "path": "/"} for verb in ("post", "put")}
    steps = {"one": {"method": "api.post", "next": "two"}, "two": {"method": "api.put"}}
    return {
        "integrations": {"api": {"base_url": url, "allow_hosts": ["127.0.0.1"], "methods": methods}},
        "runbooks": {"ask-chatgpt": {"start": {"queue": GO}, "first": "one", "concurrency": 1, "steps": steps}},
    }


def deaf_after_the_post(api, proxy):  # noqa: F811
    """The worker hears nothing of the broker any more once its POST is answered: it publishes the next step and waits for the confirm. The event: it is so."""
    deaf = asyncio.Event()

    async def answer(call):
        if call.method == "POST":
            proxy.hold(up=False, down=True)
            deaf.set()
        return 200, {}

    api.on_call = answer
    return deaf


async def test_a_step_that_went_out_twice_since_its_confirm_was_lost_is_taken_once(stage, other, api, amqp_url):  # noqa: F811
    async with through_proxy(amqp_url) as (proxied, proxy):
        worker = await stage.start(post_then_put(api.url), amqp_url=proxied)
        deaf = deaf_after_the_post(api, proxy)
        await other.send({}, GO)
        await soon(deaf.wait())
        await other.settles(RUN, 1)  # the second step: the message of the first is in hand
        proxy.reset()
        proxy.release()
        await worker.logged("broker.lost")
        await worker.logged("message.done", detail="the run is done")
        await worker.logged("message.skipped", detail="another copy of this step is done or under way")
        await other.settles(RUN)
    assert [call.method for call in api.calls] == ["POST", "PUT"]
    assert await other.depth(dead_queue(RUN)) == 0


async def test_a_step_that_is_delivered_again_after_it_was_finished_is_not_repeated(stage, other, api, amqp_url):  # noqa: F811
    async with through_proxy(amqp_url) as (proxied, proxy):
        first = await stage.start(post_then_put(api.url), name="first", amqp_url=proxied)
        deaf = deaf_after_the_post(api, proxy)
        await other.send({}, GO)
        await soon(deaf.wait())
        await other.settles(RUN, 1)  # the second step: the message of the first is in hand
        second = await stage.start(name="second")
        await second.logged("message.done", detail="the run is done")
        await first.kill()
        await second.logged("message.skipped", detail="another copy of this step is done or under way")
    await other.settles(RUN)
    assert [call.method for call in api.calls] == ["POST", "PUT"]
    assert await other.depth(dead_queue(RUN)) == 0
