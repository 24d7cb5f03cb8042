"""Customers by table in whole runs: whom a step calls, what a broken customer costs the others, and what a reload leaves as it is."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.flows.runbooks.conftest import DEAD
from tests.tools.process import write_routes
from tests.tools.tenants import QUEUE, rmm_routes, tenants, write_tenants
from tests.tools.waiting import soon
from worker.config.loader import load_routes

GOOD, SLOW, NEW = "good-one", "slow-one", "new-one"


@pytest.fixture
async def known():
    async with tenants([GOOD, SLOW, NEW]) as made:
        yield made


@pytest.fixture
def begin(memory_job, known):
    """Starts a worker with these customers; `change` makes other routes of those that it would have."""

    async def made(*names, change=lambda routes: None, **more):
        write_tenants(memory_job.folder, [known[name] for name in names or (GOOD, SLOW)])
        definition = rmm_routes(**more)
        change(definition)
        return await memory_job.start(definition)

    return made


@pytest.fixture
def reload(memory_job, known):
    async def made(running, *names, change=lambda routes: None):
        write_tenants(memory_job.folder, [known[name] for name in names])
        definition = rmm_routes()
        change(definition)
        directory = write_routes(memory_job.folder, definition)
        await running.service.apply_routes(load_routes(directory, {}, memory_job.folder / "secrets"))

    return made


def hang(tenant):
    """Its calls are not answered until the event is set; the other event tells that this many have come."""
    release, entered = asyncio.Event(), asyncio.Semaphore(0)
    answer = tenant.called

    async def called(call):
        if call.path != "/token":
            entered.release()
            await release.wait()
        return await answer(call)

    tenant.on_call = called
    return release, entered


async def test_a_customer_whose_api_hangs_takes_only_its_own_places(memory_job, known, begin, monkeypatch):
    monkeypatch.setattr("worker.integrations.customers.CALL_WAIT", 0.2)
    release, entered = hang(known[SLOW])
    running = await begin()
    for _ in range(8):
        await memory_job.other.send({"customer": SLOW, "text": "waits"}, QUEUE)
    await soon(entered.acquire())
    await soon(entered.acquire())
    await memory_job.other.send({"customer": GOOD, "text": "passes"}, QUEUE)
    await running.settled("rb", "done")
    assert len(known[GOOD].work) == 1
    assert len(known[SLOW].work) == 2, "as many as `at_once` says"
    release.set()
    await running.settled("rb", "done", 3)


async def test_one_customer_is_served_as_fast_as_its_places_allow_while_its_api_answers(memory_job, known, begin):
    running = await begin(at_once=1)
    for number in range(30):
        await memory_job.other.send({"customer": GOOD, "text": str(number)}, QUEUE)
    await running.settled("rb", "done", 30)
    assert running.messages("rb", "retried") == 0


@pytest.mark.parametrize("payload", [{"text": "x"}, {"customer": None, "text": "x"}, {"customer": ["a"], "text": "x"}, {"customer": "GOOD-ONE", "text": "x"}])
async def test_a_customer_that_is_no_row_is_a_dead_letter_that_names_the_table_and_not_the_value(memory_job, known, begin, payload):
    with capture_logs() as logs:
        await begin()
        await memory_job.other.send(payload, QUEUE)
        letter = await memory_job.other.take(DEAD)
    assert letter.headers["dead-class"] == "transform"
    assert letter.headers["dead-reason"].startswith("step 'alert': rmm.alert: ")
    assert "`tenants` has no such row" in letter.headers["dead-reason"] or "`customers.row` yields no key" in letter.headers["dead-reason"]
    assert "GOOD-ONE" not in str(letter.headers) + str(logs)
    assert [tenant.calls for tenant in known.values()] == [[], [], []]


async def test_a_run_over_all_customers_calls_each_of_them_once(memory_job, known, begin):
    def change(routes):
        each = {"for_each": "{{ request.all }}", "as": "Customer", "do": "alert"}
        routes["runbooks"]["rb"] |= {"input": {"Text": "request^text!"}, "first": "each", "steps": {"each": each, "alert": {"method": "rmm.alert"}}}

    running = await begin(change=change)
    await memory_job.other.send({"all": [GOOD, SLOW], "text": "to all"}, QUEUE)
    await running.until(lambda: known[GOOD].work and known[SLOW].work)
    assert [[call.body for call in known[name].work] for name in (GOOD, SLOW)] == [[{"text": "to all"}]] * 2


async def test_a_login_sends_the_credentials_of_its_own_customer_also_where_a_step_calls_it(memory_job, known, begin):
    def change(routes):
        rmm, book = routes["integrations"]["rmm"], routes["runbooks"]["rb"]
        rmm["auth"] = {"type": "login", "method": "login", "token": "response^access_token!"}
        rmm["methods"]["login"] = {"method": "POST", "path": "/token", "body": {"password": "${file:rmm/{{ $customer.secret }}}"}}
        book |= {"first": "login"}
        book["steps"]["login"] = {"method": "rmm.login", "in_doubt": "repeat", "next": "alert"}

    running = await begin(change=change)
    for name in (GOOD, SLOW):
        await memory_job.other.send({"customer": name, "text": "x"}, QUEUE)
    await running.settled("rb", "done", 2)
    for name, another in ((GOOD, SLOW), (SLOW, GOOD)):
        assert [call.body for call in known[name].calls if call.path == "/token"] == [{"password": known[name].secret}] * 2
        assert [len(known[name].work), another in known[name].seen] == [1, False]


async def test_a_retry_stays_with_its_customer_though_the_table_that_chose_it_changed(memory_job, known, begin, reload):
    """The customer is in the run's variables since the step with `set`."""

    def change(choice):
        def made(routes):
            routes["tables"]["map"] = {"seven": choice}
            steps = routes["runbooks"]["rb"]["steps"]
            routes["runbooks"]["rb"] |= {"input": {"Text": "request^text!"}, "first": "choose"}
            steps["choose"] = {"set": {"Customer": "{{ $table('map', request.number) }}"}, "next": "alert"}
            steps["alert"]["retry"] = ["300ms"]

        return made

    failed = asyncio.Event()
    answer = known[GOOD].called

    async def fail_once(call):
        if call.path != "/token" and not failed.is_set():
            failed.set()
            return 500, {}
        return await answer(call)

    known[GOOD].on_call = fail_once
    running = await begin(change=change(GOOD))
    await memory_job.other.send({"number": "seven", "text": "x"}, QUEUE)
    await soon(failed.wait())
    await reload(running, GOOD, SLOW, change=change(SLOW))
    await running.until(lambda: len(known[GOOD].work) == 2)
    await memory_job.other.send({"number": "seven", "text": "y"}, QUEUE)
    await running.until(lambda: len(known[SLOW].work) == 1)
    assert len(known[GOOD].work) == 2


async def test_a_reload_leaves_the_tokens_and_the_flows_of_others_as_they_are(memory_job, known, begin, reload):
    running = await begin()
    flows = list(running.service._live.supervisor.flows)
    for name in (GOOD, SLOW):
        await memory_job.other.send({"customer": name, "text": "1"}, QUEUE)
    await running.until(lambda: len(known[GOOD].work) == len(known[SLOW].work) == 1)
    release, entered = hang(known[SLOW])
    await memory_job.other.send({"customer": SLOW, "text": "2"}, QUEUE)
    await soon(entered.acquire())
    known[GOOD].secret = "planted-secret-renewed"
    known[GOOD].token = "planted-token-renewed"
    await reload(running, GOOD, SLOW, NEW)
    assert running.service._live.supervisor.flows == flows
    for name in (GOOD, NEW):
        await memory_job.other.send({"customer": name, "text": "3"}, QUEUE)
    await running.until(lambda: len(known[GOOD].work) == 2 and len(known[NEW].work) == 1)
    assert len(known[GOOD].calls) == 4, "another secret: another token"
    release.set()
    await memory_job.other.send({"customer": SLOW, "text": "4"}, QUEUE)
    await running.until(lambda: len(known[SLOW].work) == 3 and running.messages("rb", "done") == 6)
    assert [call.path for call in known[SLOW].calls].count("/token") == 1, "the same secret: the same token"


async def test_a_row_that_is_gone_ends_with_the_calls_that_have_it(memory_job, known, begin, reload):
    running = await begin()
    release, entered = hang(known[SLOW])
    await memory_job.other.send({"customer": SLOW, "text": "under way"}, QUEUE)
    await soon(entered.acquire())
    await reload(running, GOOD)
    release.set()
    await running.until(lambda: running.messages("rb", "done") >= 1)
    await memory_job.other.send({"customer": SLOW, "text": "too late"}, QUEUE)
    letter = await memory_job.other.take(DEAD)
    assert "`tenants` has no such row" in letter.headers["dead-reason"]


async def test_methods_see_the_row_as_it_is_after_a_reload_though_the_connection_stays(memory_job, known, begin, reload):
    def labelled(label):
        def change(routes):
            row = {"port": int(known[GOOD].url.rpartition(":")[2]), "client_id": "c", "secret": f"{GOOD}.key", "label": label}
            routes["tables"]["tenants"] = {GOOD: row}
            routes["integrations"]["rmm"]["methods"]["alert"]["path"] = "/{{ $customer.label }}"

        return change

    running = await begin(change=labelled("before"))
    await memory_job.other.send({"customer": GOOD, "text": "x"}, QUEUE)
    await running.settled("rb", "done")
    await reload(running, GOOD, change=labelled("behind"))
    await memory_job.other.send({"customer": GOOD, "text": "x"}, QUEUE)
    await running.settled("rb", "done", 2)
    assert [call.path for call in known[GOOD].work] == ["/before", "/behind"]
    assert [call.path for call in known[GOOD].calls].count("/token") == 1


async def test_a_login_takes_the_secret_that_it_has_after_a_reload(memory_job, known, begin, reload):
    def change(routes):
        rmm = routes["integrations"]["rmm"]
        rmm["auth"] = {"type": "login", "method": "login", "token": "response^access_token!"}
        rmm["methods"]["login"] = {"method": "POST", "path": "/token", "body": {"password": "${file:rmm/{{ $customer.secret }}}"}}

    running = await begin(change=change)
    await memory_job.other.send({"customer": GOOD, "text": "before"}, QUEUE)
    await running.settled("rb", "done")
    known[GOOD].secret, known[GOOD].token = "planted-secret-renewed", "planted-token-renewed"
    await reload(running, GOOD, SLOW, change=change)
    await memory_job.other.send({"customer": GOOD, "text": "behind"}, QUEUE)
    await running.settled("rb", "done", 2)
    assert [call.path for call in known[GOOD].calls].count("/token") == 2
