"""Lists in pages: every way from page to page, where it ends, and next pages that would lead away."""

import pytest
from aiohttp import web

from worker.config.automation import IntegrationAuth
from worker.config.integration_parts import PagingRule
from worker.config.variables import parse_variable
from worker.core.errors import CallRefused
from worker.core.exchange import RequestResult

ALL = [{"id": number} for number in range(7)]


class Lists:
    """An API with a list of seven rows, three a page. `target`: what it names as the page after the first, in place of the truth."""

    def __init__(self, api):
        self.api, self.target, self.asked, self.status = api, None, [], {}
        api.on_call = self.on_call

    def page(self, start):
        return ALL[start : start + 3]

    async def on_call(self, request):
        self.asked.append(request.path_qs)
        number = len(self.asked)
        if number in self.status:
            return web.json_response({"error": "no"}, status=self.status[number])
        start = int(request.query.get("start") or request.query.get("after") or (int(request.query.get("page", "1")) - 1) * 3)
        more = start + 3 < len(ALL)
        target = self.target if self.target is not None else f"/v1/rows?start={start + 3}"
        rows = self.page(start)
        document = {"data": {"items": rows}, "next": target if more else None, "cursor": start + 3 if more else "", "total": 7}
        if not target.isprintable() or len(target) > 4000:
            return web.json_response(document)
        headers = {"Link": f'<{target}>; rel="next", </v1/rows>; rel=first'} if more else {"Link": "</v1/rows>; rel=first"}
        return web.json_response(rows if request.query.get("bare") else document, headers=headers)


@pytest.fixture
def lists(api):
    return Lists(api)


def way(items="response^data^items", **how):
    paths = {name: parse_variable(how.pop(name)) for name in ("next", "value") if name in how}
    return PagingRule(parse_variable(items), **how, **paths)


@pytest.fixture
async def rows(call, api, lists):
    async def made(pages, query=None, **more):
        return await call(base_url=f"{api.url}/v1", path=("/rows",), pages=pages, query=query or {}, **more)

    return made


WAYS = {
    "link": (way(link=True), ["/v1/rows", "/v1/rows?start=3", "/v1/rows?start=6"]),
    "next": (way(next="response^next!"), ["/v1/rows", "/v1/rows?start=3", "/v1/rows?start=6"]),
    "page": (way(page="page"), ["/v1/rows?page=1", "/v1/rows?page=2", "/v1/rows?page=3", "/v1/rows?page=4"]),
    "cursor": (way(cursor="after", value="response^cursor"), ["/v1/rows", "/v1/rows?after=3", "/v1/rows?after=6"]),
}


@pytest.mark.parametrize("name", WAYS)
async def test_the_answers_of_all_pages_are_one_with_all_items(rows, lists, name):
    pages, asked = WAYS[name]
    exchange = await (await rows(pages))()
    assert (exchange.result, exchange.status, exchange.body["data"]["items"], exchange.body["total"]) == (RequestResult.DONE, 200, ALL, 7)
    assert lists.asked == asked


async def test_a_list_without_anything_around_it_is_one_list(rows, lists):
    exchange = await (await rows(way("response", page="page"), {"bare": "1"}))()
    assert exchange.body == ALL
    assert lists.asked[1] == "/v1/rows?bare=1&page=2"


async def test_every_page_has_the_authorization_and_the_headers_of_the_first(rows, lists, api):
    auth = IntegrationAuth("api_key", place="query", name="key", value="marker")
    assert (await (await rows(way(link=True), auth=auth, headers={"X-Team": "a"}))()).ok
    assert [(request.query["key"], request.headers["X-Team"]) for request in api.calls] == [("marker", "a")] * 3


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/v1/rows", "https://127.0.0.1/v1/rows", "//evil.example/v1/rows", "http://127.0.0.1:1/v1/rows", "http://127.0.0.1/v1/rows",
        "http://user:pass@{host}/v1/rows", "http://{host}@evil.example/v1/rows", "http://localhost:{port}/v1/rows", "file:///etc/passwd", "ftp://{host}/v1/rows",
        "javascript:alert(1)", "http://[::1]:{port}/v1/rows", "http://127.1:{port}/v1/rows", "http://2130706433:{port}/v1/rows",
        "/admin", "../admin", "/v1/../admin", "/v1/%2e%2e/admin", "/v1/%252e%252e/admin", "/v1/..%2fadmin", "/v1/..%5cadmin", "/v1/..;/admin", "/v1/..;x=1/admin", "/v1/%2e%2e%3b/admin", "/v10/rows", "/",
        "/v1/rows\r\nX-Evil: 1", "/v1/rows\x00", "http://[bad/v1", "/v1/" + "a" * 9000,
    ],
)  # fmt: skip
async def test_a_next_page_that_leads_away_is_refused_before_anything_is_sent(rows, lists, inside, api, target):
    lists.target = target.format(host=f"127.0.0.1:{api.port}", port=api.port)
    with pytest.raises(CallRefused, match="next page") as refused:
        await (await rows(way(next="response^next!"), auth=IntegrationAuth("bearer", token="marker")))()
    assert (len(lists.asked), inside.connections) == (1, 0)
    assert "evil" not in str(refused.value)
    assert "admin" not in str(refused.value)


@pytest.mark.parametrize("target", ["http://evil.example/v1/rows", "/admin", "//evil.example/"])
async def test_a_link_that_leads_away_is_refused_too(rows, lists, target):
    lists.target = target
    with pytest.raises(CallRefused, match="next page"):
        await (await rows(way(link=True)))()
    assert len(lists.asked) == 1


@pytest.mark.parametrize("target", ["?start=3", "rows?start=3", "//127.0.0.1:{port}/v1/rows?start=3", "http://127.0.0.1:{port}/v1/rows?start=3#part"])
async def test_a_next_page_may_be_written_in_every_way_that_leads_to_the_own_address(rows, lists, api, target):
    lists.target = target.format(port=api.port)
    with pytest.raises(CallRefused, match="leads back to a page"):  # the target stays the same, so that the second page names itself
        await (await rows(way(next="response^next!")))()
    assert lists.asked == ["/v1/rows", "/v1/rows?start=3"]


async def test_a_mark_is_one_value_of_the_query_whatever_it_holds(rows, lists, api):
    async def on_call(request):
        lists.asked.append(dict(request.query))
        return web.json_response({"data": {"items": [1]}, "cursor": "a&b=c#/../?x\r\n" if len(lists.asked) == 1 else None})

    api.on_call = on_call
    assert (await (await rows(way(cursor="after", value="response^cursor")))()).ok
    assert lists.asked == [{}, {"after": "a&b=c#/../?x\r\n"}]


async def test_more_pages_than_allowed_fail_the_call_and_give_no_part_of_the_list(rows, lists):
    with pytest.raises(CallRefused, match="more than 2 pages: raise `max`"):
        await (await rows(way(link=True, most=2)))()


async def test_exactly_as_many_pages_as_allowed_are_read(rows):
    assert (await (await rows(way(link=True, most=3)))()).ok


async def test_an_api_that_does_not_know_the_counting_parameter_is_told(rows, lists):
    exchange = await (await rows(way(page="p")))()
    assert (exchange.result, exchange.body) == (RequestResult.REJECTED, None)
    assert "page 2 is the same as the one before" in exchange.reason


async def test_an_answer_without_the_list_fails_and_says_where_it_was_looked_for(rows, lists):
    exchange = await (await rows(way("response^rows", link=True)))()
    assert (exchange.result, exchange.body, len(lists.asked)) == (RequestResult.REJECTED, None, 1)
    assert exchange.reason.endswith("page 1 holds no list at response^rows")


@pytest.mark.parametrize(("status", "fate"), [(500, RequestResult.AMBIGUOUS), (404, RequestResult.REJECTED), (429, RequestResult.THROTTLED)])
async def test_a_page_that_fails_fails_the_call(rows, lists, status, fate):
    lists.status[2] = status
    exchange = await (await rows(way(link=True)))()
    assert (exchange.result, exchange.status, len(lists.asked)) == (fate, status, 2)


async def test_all_pages_together_have_a_limit_of_bytes(rows, lists):
    lists.page = lambda start: ["x" * 3_000_000, start]
    exchange = await (await rows(way(next="response^next!")))()
    assert exchange.result is RequestResult.REJECTED
    assert "more than 8,388,608 bytes" in exchange.reason


async def test_all_pages_together_have_the_time_of_the_method(rows, lists, api):
    class Slow:
        """A clock on which every look costs four seconds."""

        now = 0.0

        def monotonic(self):
            self.now += 4.0
            return self.now

    exchange = await (await rows(way(link=True), clock=Slow()))()
    assert exchange.result is RequestResult.AMBIGUOUS
    assert "were not complete in time" in exchange.reason


async def test_a_token_that_is_refused_in_the_middle_begins_the_list_again_once(rows, lists, api):
    async def on_token(_):
        return web.json_response({"access_token": f"token-{len(api.grants)}", "expires_in": 3600})

    api.on_token = on_token
    lists.status[2] = 401
    auth = IntegrationAuth("oauth2", client_id="a", client_secret="b", token_url=f"{api.url}/token")
    exchange = await (await rows(way(link=True), auth=auth))()
    assert exchange.body["data"]["items"] == ALL
    assert (len(api.grants), len(lists.asked)) == (2, 5)
    assert api.last.headers["Authorization"] == "Bearer token-2"
