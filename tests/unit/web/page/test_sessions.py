"""Sessions of the status page."""

from worker.web.page.sessions import COOKIE, LIFE, Sessions

TOKEN = "0123456789abcdef-token"


class Time:
    at = 1000.0

    def now(self):
        return self.at

    monotonic = now


async def cookie_of(sessions):
    return {COOKIE: await sessions.begin(TOKEN, "10.0.0.1")}


async def test_a_session_ends_and_no_other_text_is_one():
    time = Time()
    sessions = Sessions(TOKEN, time)
    cookie = await cookie_of(sessions)
    assert await sessions.of(cookie, "", "x") is not None
    value = cookie[COOKIE]
    for forged in (
        value[:-1] + ("0" if value[-1] != "0" else "1"),
        "9" + value,
        value.replace(".", ".0", 1),
        "",
        ".",
        "a.b.c",
        "1e9.x." + value.rpartition(".")[2],
    ):
        assert await sessions.of({COOKIE: forged}, "", "x") is None, forged
    time.at += LIFE
    assert await sessions.of(cookie, "", "x") is None


async def test_each_replica_with_the_token_knows_a_session_and_another_token_ends_it():
    time = Time()
    cookie = await cookie_of(Sessions(TOKEN, time))
    assert await Sessions(TOKEN, time).of(cookie, "", "x") is not None
    assert await Sessions(TOKEN + "2", time).of(cookie, "", "x") is None
    assert await Sessions(None, time).of(cookie, "", "x") is None


async def test_without_a_token_an_empty_one_is_none():
    sessions = Sessions(None, Time())
    assert await sessions.begin("", "10.0.0.1") is None
    assert await sessions.of({}, "Bearer ", "10.0.0.1") is None
