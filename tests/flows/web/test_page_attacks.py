"""Attacks on the status page by raw HTTP: without the token, from another site's page, under a name that an attacker resolves to this port."""

from __future__ import annotations

import encodings
import re
import tempfile
from http.cookies import SimpleCookie

import pytest
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar

from tests.tools.page_backend import SECRET_BODY, FakePageBackend, letter_row
from worker.core.clock import SystemClock
from worker.web.admin import PageSettings, serve_admin
from worker.web.page.sessions import COOKIE
from worker.web.page.sign_in_limiter import HELD, WRONG

TOKEN = "the-token-of-these-tests"
ACTIONS = (
    {"action": "pause", "route": "erp"},
    {"action": "resume", "route": "erp"},
    {"action": "replay", "queue": "q.dead", "key": "aa"},
    {"action": "discard", "queue": "q.dead", "key": "aa"},
    {"action": "edit", "queue": "q.dead", "key": "aa", "body": "{}"},
)
SHOWN = (
    "/",
    "/dead",
    "/letter?queue=q.dead&key=aa",
    "/route?name=erp",
    "/runs",
    "/story?id=x",
    "/clients",
    "/login",
    "/confirm?action=discard&key=aa&queue=q.dead",
)


class Watch(SystemClock):
    """`waits`: the seconds of each sleep, none of which takes time."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


class Attacker:
    """Sends what it likes; keeps no cookies by itself."""

    def __init__(self, session: ClientSession, port: int, page_backend: FakePageBackend, clock: Watch) -> None:
        self.session, self.port, self.page_backend, self.clock = session, port, page_backend, clock

    async def send(self, method, path, headers=None, data=None):
        async with self.session.request(method, path, headers=headers, data=data, allow_redirects=False) as response:
            return response.status, await response.text(), response.headers

    async def sign_in(self):
        """The value of the cookie, and the token of the forms."""
        status, _, headers = await self.send("POST", "/login", data={"token": TOKEN})
        assert status == 303
        cookie = headers["Set-Cookie"]
        value = SimpleCookie(cookie)[COOKIE].value
        _, text, _ = await self.send("GET", "/route?name=erp", {"Cookie": f"{COOKIE}={value}"})
        return cookie, value, re.search(r'name="csrf" value="([0-9a-f]+)"', text)[1]


@pytest.fixture(params=[TOKEN])
async def attacker(health, metrics, request):
    page_backend, clock = FakePageBackend(), Watch()
    page = PageSettings(page_backend, clock, request.param, ("worker.example.com",))
    async with (
        serve_admin("127.0.0.1", 0, health, metrics, page) as port,
        ClientSession(f"http://127.0.0.1:{port}", timeout=ClientTimeout(30), cookie_jar=DummyCookieJar()) as session,
    ):
        yield Attacker(session, port, page_backend, clock)


@pytest.mark.parametrize("form", ACTIONS, ids=lambda form: form["action"])
async def test_no_action_without_the_token(attacker, form):
    for headers in (None, {"Authorization": "Bearer wrong"}, {"Cookie": f"{COOKIE}=9999999999.00.00"}, {"Authorization": f"Basic {TOKEN}"}):
        status, text, _ = await attacker.send("POST", "/act", headers, form)
        assert (status, "sign in with the admin token first" in text) == (403, True)
    assert attacker.page_backend.done == []


@pytest.mark.parametrize("attacker", [None], indirect=True)
async def test_where_no_token_is_set_nobody_may_act_and_nobody_can_sign_in(attacker):
    for token in ("", TOKEN, "None"):
        status, text, headers = await attacker.send("POST", "/login", data={"token": token})
        assert (status, "Set-Cookie" in headers, "WORKER_ADMIN_TOKEN" in text) == (403, False, True)
    for authorization in ("Bearer ", "Bearer None", "Bearer"):
        assert (await attacker.send("POST", "/act", {"Authorization": authorization}, ACTIONS[0]))[0] == 403
    assert attacker.page_backend.done == []


async def test_customer_data_is_neither_shown_nor_read_without_the_token(attacker):
    for path in SHOWN:
        _, text, _ = await attacker.send("GET", path)
        assert SECRET_BODY not in text
    assert attacker.page_backend.reads == 0, "a look without the token makes nobody browse the queue for it"
    _, value, _ = await attacker.sign_in()
    assert SECRET_BODY in (await attacker.send("GET", SHOWN[2], {"Cookie": f"{COOKIE}={value}"}))[1]


async def test_the_bearer_token_acts_for_programs(attacker):
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    assert (await attacker.send("POST", "/act", headers, ACTIONS[2]))[:2] == (200, '{"outcome":"erp: 1 letter replayed"}\n')
    assert attacker.page_backend.done == [("replay", ["aa"], None)]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("application/x-www-form-urlencoded; charset=nonsense", b"token=x"),
        ("application/x-www-form-urlencoded; charset=zlib", b"token=x"),
        ("multipart/form-data", b"token=x"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\nx\r\n--b--\r\n'),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="token"; filename="f"\r\n\r\nx\r\n--b--\r\n'),
        ("application/x-www-form-urlencoded", b"token=\xff"),
        ("application/json", b"{}"),
    ],
)
async def test_a_form_that_is_none_is_refused_and_leaves_nothing_behind(attacker, caplog, monkeypatch, kind, data):
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    known = len(encodings._cache)
    status, text, _ = await attacker.send("POST", "/login", {"Content-Type": kind}, data)
    assert (status, text) == (400, '{"error":"bad request"}\n')
    assert not [record for record in caplog.records if record.exc_info]
    assert len(encodings._cache) == known


async def test_the_session_is_http_only_strict_limited_and_fits_its_own_forms_only(attacker):
    cookie, value, csrf = await attacker.sign_in()
    assert {"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"} <= {part.strip() for part in cookie.split(";")}
    assert TOKEN not in cookie
    _, other_value, other_csrf = await attacker.sign_in()
    headers = {"Cookie": f"{COOKIE}={value}"}
    for wrong in ({}, {"csrf": ""}, {"csrf": other_csrf}, {"csrf": value}):
        status, text, _ = await attacker.send("POST", "/act", headers, ACTIONS[3] | wrong)
        assert (status, "made for this session" in text) == (403, True)
    assert attacker.page_backend.done == []
    assert (await attacker.send("POST", "/act", headers, ACTIONS[3] | {"csrf": csrf}))[0] == 200
    assert attacker.page_backend.done == [("discard", ["aa"])]
    assert other_value != value


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Authorization": f"Bearer {TOKEN}"},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
async def test_a_form_of_another_site_does_nothing_although_it_has_everything_else(attacker, headers):
    _, value, csrf = await attacker.sign_in()
    for path, form in (("/act", ACTIONS[3] | {"csrf": csrf}), ("/login", {"token": TOKEN}), ("/logout", {})):
        status, text, answered = await attacker.send("POST", path, {"Cookie": f"{COOKIE}={value}"} | headers, form)
        assert (status, "came from another site" in text, "Set-Cookie" in answered) == (403, True, False)
    assert attacker.page_backend.done == []


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "user@127.0.0.1", "127.0.0.1/x", "", "[::1", "a b"])
async def test_no_page_answers_under_a_name_that_an_attacker_may_have_resolved_to_this_port(attacker, host):
    for method, path in (("GET", "/"), ("GET", "/static/page.css"), ("POST", "/act"), ("GET", "/nothing")):
        status, text, _ = await attacker.send(method, path, {"Host": host, "Authorization": f"Bearer {TOKEN}"}, ACTIONS[3] if method == "POST" else None)
        assert status in {400, 421}, (path, text)
        assert "erp" not in text
    for path in ("/livez", "/metrics"):
        assert (await attacker.send("GET", path, {"Host": host or "x"}))[0] in {200, 400}, "probes come under any name"
    assert (await attacker.send("GET", "/readyz", {"Host": "evil.example"}))[0] == 503
    assert attacker.page_backend.done == []


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "10.1.2.3", "worker.example.com", "WORKER.example.com.:8080"])
async def test_the_page_answers_under_loopback_under_addresses_and_under_the_names_of_the_setting(attacker, host):
    assert (await attacker.send("GET", "/", {"Host": host}))[0] == 200


async def test_after_wrong_tokens_of_a_stranger_behind_the_same_proxy_the_right_one_still_gets_in_after_as_long_as_a_guess(attacker):
    for _ in range(WRONG):
        assert (await attacker.send("POST", "/login", data={"token": "guess"}))[0] == 403
    assert attacker.clock.waits == []
    assert (await attacker.send("POST", "/login", data={"token": "guess"}))[0] == 403
    assert (await attacker.send("GET", "/", {"Authorization": "Bearer guess"}))[0] == 200, "reading needs no token"
    _, value, _ = await attacker.sign_in()
    assert (await attacker.send("GET", SHOWN[2], {"Authorization": f"Bearer {TOKEN}"}))[0] == 200
    assert (await attacker.send("POST", "/act", {"Authorization": f"Bearer {TOKEN}"}, ACTIONS[0]))[0] == 200
    assert attacker.clock.waits == [HELD] * 5
    assert (await attacker.send("GET", SHOWN[2], {"Cookie": f"{COOKIE}={value}"}))[0] == 200
    assert attacker.clock.waits == [HELD] * 5, "who has signed in does not wait"


async def test_every_answer_has_the_headers_that_keep_other_pages_out(attacker):
    for method, path in (*(("GET", path) for path in SHOWN), ("GET", "/nothing"), ("POST", "/act"), ("GET", "/static/page.css")):
        _, _, headers = await attacker.send(method, path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"], headers["Referrer-Policy"]) == ("nosniff", "DENY", "same-origin")
        assert headers["Cache-Control"] == ("max-age=86400" if path.startswith("/static") else "no-store"), path


async def test_what_data_holds_is_text_on_every_page(attacker):
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[2J"
    attacker.page_backend.rows = [letter_row(id=evil, reason=evil)]
    attacker.page_backend.found["routes"][0]["reason"] = evil
    attacker.page_backend.notes = ({"t": 1.0, "e": "dead", "r": "erp", "m": evil, "status": evil},)
    for path in ("/", "/dead", "/letter?queue=q.dead&key=aa", "/route?name=erp", "/story?id=x", f"/story?id={evil}", f"/?q={evil}", f"/login?next={evil}"):
        _, text, _ = await attacker.send("GET", path)
        assert "<script>alert" not in text, path
        assert "<img" not in text, path
        assert "\x1b" not in text, path


@pytest.mark.parametrize("onward", ["https://evil.example", "//evil.example", "/\\evil.example", "/x\r\nSet-Cookie: a=b"])
async def test_signing_in_leads_to_no_other_site(attacker, onward):
    status, _, headers = await attacker.send("POST", "/login", data={"token": TOKEN, "next": onward})
    assert (status, headers["Location"]) == (303, "/")


@pytest.mark.parametrize(
    "form",
    [
        {"action": "discard"},
        {"action": "discard", "route": "erp"},
        {"action": "discard", "route": "erp", "id": "m1"},
        {"action": "discard", "rout": "erp", "until": "1e12"},
        {"action": "replay", "route": "erp", "until": "now"},
        {"action": "edit", "route": "erp", "until": "1e12", "body": "{}"},
    ],
)
async def test_an_action_that_names_no_letter_or_has_an_unknown_field_does_nothing(attacker, form):
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    status, text, _ = await attacker.send("POST", "/act", headers, form)
    assert status == 400
    assert "name the letter" in text or "valid are action" in text
    assert attacker.page_backend.done == []


async def test_letters_of_one_click_are_bounded_and_those_that_died_later_stay(attacker):
    attacker.page_backend.rows = [letter_row(f"{number:04x}", at=float(number)) for number in range(800)]
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert (await attacker.send("POST", "/act", headers, {"action": "discard", "route": "erp", "until": "100"}))[0] == 200
    (done,) = attacker.page_backend.done
    assert len(done[1]) == 101
    assert (await attacker.send("POST", "/act", headers, {"action": "replay", "route": "erp", "until": "799"}))[0] == 200
    assert len(attacker.page_backend.done[1][1]) == 500
    assert (await attacker.send("POST", "/act", headers, {"action": "replay", "key": "gone", "queue": "q.dead"}))[0] == 404
