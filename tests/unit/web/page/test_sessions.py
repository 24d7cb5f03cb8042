"""Sessions of the status page."""

import pytest

from worker.web.page.sessions import COOKIE, LIFE, PEERS, WINDOW, WRONG, Sessions, TooManyAttempts

TOKEN = "0123456789abcdef-token"


class Time:
    now = 1000.0

    def __call__(self):
        return self.now


def cookie_of(sessions):
    return {COOKIE: sessions.begin(TOKEN, "10.0.0.1")}


def test_a_session_ends_and_no_other_text_is_one():
    time = Time()
    sessions = Sessions(TOKEN, time)
    cookie = cookie_of(sessions)
    assert sessions.of(cookie, "", "x") is not None
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
        assert sessions.of({COOKIE: forged}, "", "x") is None, forged
    time.now += LIFE
    assert sessions.of(cookie, "", "x") is None


def test_each_replica_with_the_token_knows_a_session_and_another_token_ends_it():
    time = Time()
    cookie = cookie_of(Sessions(TOKEN, time))
    assert Sessions(TOKEN, time).of(cookie, "", "x") is not None
    assert Sessions(TOKEN + "2", time).of(cookie, "", "x") is None
    assert Sessions(None, time).of(cookie, "", "x") is None


def test_without_a_token_an_empty_one_is_none():
    sessions = Sessions(None, Time())
    assert sessions.begin("", "10.0.0.1") is None
    assert sessions.of({}, "Bearer ", "10.0.0.1") is None


def test_a_peer_waits_after_wrong_tokens_and_others_do_not():
    time = Time()
    sessions = Sessions(TOKEN, time)
    for _ in range(WRONG):
        assert sessions.begin("wrong", "10.0.0.1") is None
    with pytest.raises(TooManyAttempts):
        sessions.begin(TOKEN, "10.0.0.1")
    assert sessions.begin(TOKEN, "10.0.0.2")
    time.now += WINDOW
    assert sessions.begin(TOKEN, "10.0.0.1")


def test_the_addresses_of_one_ipv6_network_are_one_peer_and_the_memory_of_peers_is_bounded():
    sessions = Sessions(TOKEN, Time())
    for number in range(WRONG):
        sessions.begin("wrong", f"2001:db8::{number:x}")
    with pytest.raises(TooManyAttempts):
        sessions.begin(TOKEN, "2001:db8::ffff")
    for number in range(2 * PEERS):
        sessions.begin("wrong", f"10.0.{number // 256}.{number % 256}")
    assert len(sessions._wrong) == PEERS
