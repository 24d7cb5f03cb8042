"""One subscriber over several tenants is one route for each: what one of them suffers, the others do not notice."""

from __future__ import annotations

from tests.tools.job import client, routes, subscriber
from tests.tools.sizes import ON_BOTH_BROKERS
from worker.sandbox.faults import Fault, FaultKind

TENANTS = {"client": ["main", "second"]}


async def started(job, halos, **more):
    """Two tenants, and the worker over both."""
    main, second = await halos(tickets=3), await halos(tickets=5)
    defined = routes(main, subscribers={"feed": subscriber(**TENANTS, **more)})
    defined["clients"]["second"] = client(second)
    return main, second, await job.start(defined)


def by_tenant(letters):
    return {
        source: sorted(each.body["id"] for each in letters if each.headers["cloudEvents_source"] == source)
        for source in {each.headers["cloudEvents_source"] for each in letters}
    }


@ON_BOTH_BROKERS
async def test_each_tenant_has_its_events_and_no_two_share_a_dedupe_key(job, halos):
    main, second, _ = await started(job, halos)
    letters = await job.other.take_all("events", 8)
    found = by_tenant(letters)
    assert found == {f"{main.url}/api/Tickets": [1, 2, 3], f"{second.url}/api/Tickets": [1, 2, 3, 4, 5]}
    assert len({each.key for each in letters}) == 8


async def test_a_tenant_that_answers_500_keeps_no_other_from_its_events(job, halos):
    main, second, running = await started(job, halos)
    await job.other.take_all("events", 8)
    second.fault(Fault(FaultKind.ANSWER, "GET", "/Tickets", times=None, status=500))
    await running.polled("feed@second", 3, "failed")
    for number in range(1, 4):
        main.store.update("tickets", number, {"summary": f"changed {number}"})
        assert (await job.other.take("events")).body["summary"] == f"changed {number}"
    assert running.polls("feed@main", "failed") == 0
    parts = running.service.health.parts
    assert (parts["subscriber feed@main"].ok, parts["subscriber feed@second"].ok) == (True, False)
    second.store.update("tickets", 5, {"summary": "meanwhile"})
    second.faults.clear()
    assert (await job.other.take("events")).body["summary"] == "meanwhile"


async def test_a_record_that_cannot_become_an_event_is_in_the_dead_queue_of_its_tenant(memory_job, halos):
    _, _, running = await started(memory_job, halos, transform={"id": "{{ $client = 'second' ? $error('no') : id }}"})
    await running.until(lambda: running.value("parked_records_total", route="feed@second") == 5)
    assert await memory_job.other.depth("halo.dead.feed@second") == 5
    assert await memory_job.other.depth("halo.dead.feed@main") == 0


async def test_a_client_that_is_added_to_the_list_leaves_the_others_where_they_are(memory_job, halos):
    main, second, running = await started(memory_job, halos)
    await memory_job.other.take_all("events", 8)
    await running.stop()
    third = await halos(tickets=2)
    defined = routes(main, subscribers={"feed": subscriber(client=["main", "second", "third"])})
    defined["clients"] |= {"second": client(second), "third": client(third)}
    await memory_job.start(defined)
    assert by_tenant(await memory_job.other.take_all("events", 2)) == {f"{third.url}/api/Tickets": [1, 2]}


async def test_a_webhook_wakes_the_route_of_its_own_client(memory_job, halos):
    main, second = await halos(), await halos()
    defined = routes(main, subscribers={"feed": subscriber(**TENANTS, every="1h")})
    defined["clients"]["second"] = client(second)
    auth = {"type": "basic", "username": "halo", "password": "planted-password-of-the-test"}
    defined["webhooks"] = {"hook": {"client": "second", "auth": auth, "wake": {"subscriber": "feed"}}}
    running = await memory_job.start(defined)
    [hook] = running.service.routes.webhooks.values()
    assert hook.wake.subscriber == "feed@second"
