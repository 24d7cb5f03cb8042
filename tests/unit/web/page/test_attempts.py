"""Admin tokens of the status page: guesses are slow, and the right token always fits."""

from worker.web.page.sign_in_limiter import HELD, PEERS, WINDOW, WRONG, WRONG_IN_ALL, SignInLimiter

TOKEN = "0123456789abcdef-token"


class Time:
    """`waits`: the seconds of each sleep; time does not pass by itself."""

    def __init__(self):
        self.at = 1000.0
        self.waits = []

    def monotonic(self):
        return self.at

    now = monotonic

    async def sleep(self, seconds):
        self.waits.append(seconds)


async def test_the_right_token_fits_whatever_its_peer_and_all_others_gave_before():
    attempts = SignInLimiter(TOKEN, Time())
    for number in range(2 * WRONG_IN_ALL):
        assert not await attempts.fits("wrong", f"10.0.0.{number}")
        assert not await attempts.fits("wrong", "10.0.0.1")
    assert await attempts.fits(TOKEN, "10.0.0.1")


async def test_after_wrong_tokens_of_a_peer_its_answers_take_a_while_the_right_one_as_long_and_others_do_not():
    time = Time()
    attempts = SignInLimiter(TOKEN, time)
    for _ in range(WRONG):
        await attempts.fits("wrong", "10.0.0.1")
    assert time.waits == []
    await attempts.fits("wrong", "10.0.0.1")
    await attempts.fits(TOKEN, "10.0.0.1")
    assert time.waits == [HELD, HELD]
    await attempts.fits(TOKEN, "10.0.0.2")
    time.at += WINDOW
    await attempts.fits(TOKEN, "10.0.0.1")
    assert time.waits == [HELD, HELD]


async def test_after_wrong_tokens_of_many_peers_every_answer_takes_a_while():
    time = Time()
    attempts = SignInLimiter(TOKEN, time)
    for number in range(WRONG_IN_ALL):
        await attempts.fits("wrong", f"10.0.0.{number}")
    await attempts.fits(TOKEN, "10.0.1.1")
    assert time.waits == [HELD]


async def test_the_addresses_of_one_ipv6_network_are_one_peer_and_the_memory_of_peers_is_bounded():
    time = Time()
    attempts = SignInLimiter(TOKEN, time)
    for number in range(WRONG + 1):
        await attempts.fits("wrong", f"2001:db8::{number:x}")
    assert time.waits == [HELD]
    for number in range(2 * PEERS):
        await attempts.fits("wrong", f"10.0.{number // 256}.{number % 256}")
    assert len(attempts._wrong) == PEERS


async def test_where_no_token_is_set_no_text_fits():
    assert not await SignInLimiter(None, Time()).fits("", "10.0.0.1")
