"""Who gets the next turn."""

import asyncio
from bisect import bisect_left

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.config.routes import Client, Grant, RateLimit
from worker.core.exchange import Priority
from worker.halo.budget import FIRST, Budget, Budgets


def busiest(counted, seconds):
    counted = sorted(counted)
    return max((index - bisect_left(counted, moment - seconds) + 1 for index, moment in enumerate(counted)), default=0)


async def use(budget, clock, priority, counted, *, flight=0.0, label=None):
    async with budget.reserve(priority):
        await clock.sleep(flight / 2)
        counted.append(label or clock.monotonic())  # Halo counts it somewhere on its way
        await clock.sleep(flight / 2)


@settings(max_examples=settings().max_examples // 2)
@given(
    limit=st.integers(1, 12),
    seconds=st.floats(1, 30),
    wanted=st.lists(st.tuples(st.floats(0, 3), st.sampled_from(Priority), st.floats(0, 5), st.booleans()), max_size=60),
)
def test_any_arrivals_latencies_and_cancellations_keep_within_the_limit_and_all_others_get_their_turn(virtually, limit, seconds, wanted):
    async def main(clock):
        budget, counted, kept, dropped = Budget("acme", RateLimit(limit, seconds), clock), [], [], []
        for pause, priority, flight, cancel in wanted:
            await clock.sleep(pause)
            (dropped if cancel else kept).append(asyncio.create_task(use(budget, clock, priority, counted, flight=flight)))
            for task in dropped:
                task.cancel()
        await asyncio.gather(*kept)
        await asyncio.gather(*dropped, return_exceptions=True)
        assert budget.waiting == 0
        return counted

    counted = virtually(main)
    assert busiest(counted, seconds) <= limit
    assert len(counted) >= sum(not cancel for *_, cancel in wanted)


def test_writes_go_before_runbooks_before_polls_before_backfill_in_their_order_of_arrival(virtually):
    async def main(clock):
        budget, order = Budget("acme", RateLimit(1, 10.0), clock), []
        await use(budget, clock, Priority.POLL, [])
        wanted = [
            (Priority.BACKFILL, "b"),
            (Priority.POLL, "p1"),
            (Priority.WRITE, "w1"),
            (Priority.POLL, "p2"),
            (Priority.RUNBOOK, "r"),
            (Priority.WRITE, "w2"),
        ]
        await asyncio.gather(*(use(budget, clock, priority, order, label=label) for priority, label in [*wanted, (FIRST, "token")]))
        return order

    assert virtually(main) == ["token", "w1", "w2", "r", "p1", "p2", "b"]


def test_a_flood_of_writes_cannot_starve_a_poll(virtually):
    async def main(clock):
        budget, order = Budget("acme", RateLimit(1, 1.0), clock), []
        tasks = [asyncio.create_task(use(budget, clock, Priority.WRITE, order, label="w")) for _ in range(5)]
        await clock.sleep(0)
        tasks.append(asyncio.create_task(use(budget, clock, Priority.BACKFILL, order, label="b")))
        tasks += [asyncio.create_task(use(budget, clock, Priority.WRITE, order, label="w")) for _ in range(100)]
        await asyncio.gather(*tasks)
        return order.index("b")

    assert virtually(main) < 70


def test_the_whole_allowance_is_used_over_time(virtually):
    async def main(clock):
        budget, counted = Budget("acme", RateLimit(700, 300.0), clock), []
        started = clock.monotonic()
        await asyncio.gather(*(use(budget, clock, Priority.WRITE, counted, flight=0.3) for _ in range(1400)))
        assert busiest(counted, 300.0) <= 700
        return 1400 / (clock.monotonic() - started)

    assert virtually(main) > 0.95 * 700 / 300


def test_a_cancelled_waiter_gives_its_turn_to_the_next(virtually):
    async def main(clock):
        budget, order = Budget("acme", RateLimit(1, 10.0), clock), []
        await use(budget, clock, Priority.WRITE, [])
        head = asyncio.create_task(use(budget, clock, Priority.WRITE, order, label="head"))
        other = asyncio.create_task(use(budget, clock, Priority.POLL, order, label="other"))
        await clock.sleep(1)
        head.cancel()
        await other
        return order

    assert virtually(main) == ["other"]


def test_a_cancelled_request_in_flight_still_counts(virtually):
    async def main(clock):
        budget = Budget("acme", RateLimit(1, 10.0), clock)
        task = asyncio.create_task(use(budget, clock, Priority.WRITE, [], flight=5.0))
        await clock.sleep(2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        counted = []
        await use(budget, clock, Priority.WRITE, counted)
        return counted[0]

    assert virtually(main) >= 1000 + 2 + 10


def test_a_pause_stops_everyone_also_without_a_limit(virtually):
    async def main(clock):
        starts = []
        for budget in (Budget("acme", None, clock), Budget("acme", RateLimit(700, 300.0), clock)):
            counted = []
            before = clock.monotonic()
            budget.pause(30)
            budget.pause(5)  # a shorter one does not end it
            await asyncio.gather(*(use(budget, clock, priority, counted) for priority in (Priority.POLL, Priority.WRITE, FIRST)))
            starts.append(min(counted) - before)
        return starts

    assert all(start >= 30 for start in virtually(main))


def test_a_429_without_a_time_waits_30_seconds_then_60_and_the_late_echoes_of_one_do_not_lengthen_it(virtually):
    async def main(clock):
        budget = Budget("acme", None, clock)
        started = clock.monotonic()
        waits = [budget.throttled(started, None), budget.throttled(started, None)]
        await clock.sleep(31)
        waits.append(budget.throttled(clock.monotonic(), None))
        await clock.sleep(61)
        waits.append(budget.throttled(clock.monotonic(), None))
        await clock.sleep(600)
        waits.append(budget.throttled(clock.monotonic(), None))
        return [round(wait) for wait in waits]

    assert virtually(main) == [30, 30, 60, 60, 30]


def test_a_429_that_names_a_time_is_believed_up_to_ten_minutes(virtually):
    async def main(clock):
        return [Budget("acme", None, clock).throttled(clock.monotonic(), seconds) for seconds in (7.0, 86400.0, 0.0)]

    assert [round(wait) for wait in virtually(main)] == [7, 600, 30]


def client(name, **members):
    return Client(name, **({"url": "https://acme.example", "grant": Grant("client_credentials", "app")} | members))


def test_clients_of_one_host_and_tenant_share_a_budget_and_the_smaller_limit_holds(virtually):
    async def main(clock):
        one, two, other = client("one"), client("two", rate_limit=RateLimit(3, 300.0)), client("other", tenant="beta")
        budgets = Budgets([one, two, other], clock)
        assert budgets.of(one) is budgets.of(two)
        assert budgets.of(one) is not budgets.of(other)
        for _ in range(3):
            await use(budgets.of(one), clock, Priority.WRITE, [])
        counted = []
        await use(budgets.of(two), clock, Priority.WRITE, counted)
        return counted[0]

    assert virtually(main) >= 1300


def test_the_share_of_this_replica_scales_the_limit(virtually):
    async def main(clock):
        one = client("one", rate_limit=RateLimit(10, 100.0))
        budget, counted = Budgets([one], clock, share=0.5).of(one), []
        await asyncio.gather(*(use(budget, clock, Priority.WRITE, counted) for _ in range(20)))
        return busiest(counted, 100.0)

    assert virtually(main) == 5
