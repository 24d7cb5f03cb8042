"""How the simulated Halo limits requests."""

from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


async def test_the_limit_counts_every_request_in_a_rolling_window(visit):
    moment = [START]
    async with visit(now=lambda: moment[0], rate_limit=3, rate_window=300) as visitor:
        statuses = []
        for _ in range(4):
            statuses.append((await visitor.get("/Status")).status)
            moment[0] += timedelta(seconds=60)
        assert statuses == [200, 200, 200, 429]
        moment[0] += timedelta(seconds=61)  # the first of the three is now older than the window
        assert [(await visitor.get("/Status")).status for _ in range(2)] == [200, 429]


async def test_a_refused_request_is_not_executed_and_its_answer_says_why(visit):
    async with visit(rate_limit=1) as visitor:
        await visitor.get("/Status")
        answer = await visitor.post("/Tickets", [{"summary": "x"}])
        assert (answer.status, answer.json) == (429, "Rate Limit Reached - 1 Requests per rolling 5 minute window")
        assert "Retry-After" not in answer.headers
        assert visitor.halo.journal.executed("POST") == []


async def test_the_wrapper_and_the_retry_header_may_be_switched(visit):
    async with visit(rate_limit=0, limit_wrapper="exception", retry_after=42) as visitor:
        answer = await visitor.get("/Status")
        assert (answer.headers["Retry-After"], answer.json["ClassName"]) == ("42", "System.Exception")


async def test_self_hosted_has_no_limit(visit):
    async with visit(rate_limit=None) as visitor:
        assert {(await visitor.get("/Status")).status for _ in range(20)} == {200}


async def test_refused_requests_may_use_up_budget_as_well(visit):
    moment = [START]
    async with visit(now=lambda: moment[0], rate_limit=1, rate_window=10, limit_counts_refused=True) as visitor:
        statuses = []
        for _ in range(4):
            statuses.append((await visitor.get("/Status")).status)
            moment[0] += timedelta(seconds=6)
        assert statuses == [200, 429, 429, 429]
