"""When the auth manager asks for a token, and when it does not."""

import asyncio
import json
from itertools import pairwise

import pytest

from worker.config.routes import Client, Grant
from worker.core.errors import ConfigError
from worker.halo.addresses import finder
from worker.halo.auth import AuthManager, BearerToken
from worker.halo.budget import Budget
from worker.halo.grants import NoToken, TokenErrorKind
from worker.halo.token_source import GrantSource, TokenEndpoint
from worker.halo.transport import Answer, Failure
from worker.metrics import Metrics

GRANT = Grant("client_credentials", "app", "old-secret", scopes=("all",))


def granted(value, **more):
    return Answer(200, {"content-type": "application/json"}, json.dumps({"access_token": value, "expires_in": 3600} | more).encode())


def refused(code, status=401):
    return Answer(status, {"content-type": "application/json"}, json.dumps({"error": code}).encode())


class TokenServer:
    """Answers with `answers` one by one, the last for ever; notes when it was asked for what."""

    def __init__(self, clock, *answers, latency=0.0):
        self.clock, self.answers, self.latency = clock, list(answers), latency
        self.asked, self.times = [], []

    async def send(self, call):
        self.times.append(self.clock.monotonic())
        self.asked.append(dict(pair.split("=", 1) for pair in call.data.decode().split("&")))
        await self.clock.sleep(self.latency)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def manager(server, reload=None, grant=GRANT):
    client = Client("main", "https://acme.example", grant, token_url="https://acme.example/auth/token", tenant="acme")
    budget = Budget("acme", None, server.clock)
    address = finder(client, server.send, budget)
    endpoint = TokenEndpoint("main", address, server.send, client.timeout, budget, Metrics(), server.clock)
    return AuthManager("main", GrantSource(grant, endpoint, reload), server.clock)


def test_callers_that_come_together_share_one_call(virtually):
    async def main(clock):
        server = TokenServer(clock, granted("one"), latency=2.0)
        auth = manager(server)
        tokens = await asyncio.gather(*(auth.token() for _ in range(50)))
        return len(server.asked), {token.value for token in tokens}

    assert virtually(main) == (1, {"one"})


def test_a_cancelled_caller_does_not_cancel_the_call_of_the_others(virtually):
    async def main(clock):
        server = TokenServer(clock, granted("one"), latency=2.0)
        auth = manager(server)
        first, second = asyncio.create_task(auth.token()), asyncio.create_task(auth.token())
        await clock.sleep(1)
        first.cancel()
        return (await second).value, len(server.asked)

    assert virtually(main) == ("one", 1)


def test_a_token_is_renewed_ahead_of_its_end_while_callers_go_on_with_it(virtually):
    async def main(clock):
        server = TokenServer(clock, granted("one", expires_in=1000), granted("two"), latency=5.0)
        auth = manager(server)
        start = clock.monotonic()
        values = []
        for _ in range(100):
            before = clock.monotonic()
            values.append((await auth.token()).value)
            assert values == ["one"] or clock.monotonic() == before  # nobody waits but the first
            await clock.sleep(10)
        return values[-1], len(server.asked), server.times[1] - start

    value, calls, renewed_after = virtually(main)
    assert (value, calls) == ("two", 2)
    assert 700 <= renewed_after <= 815


def test_natural_renewals_do_not_wait_for_a_floor(virtually):
    async def main(clock):
        server = TokenServer(clock, granted("short", expires_in=1))
        auth = manager(server)
        for _ in range(20):
            assert isinstance(await auth.token(), BearerToken)
            await clock.sleep(1.1)
        return len(server.asked)

    assert virtually(main) == 20


def test_a_rejected_token_is_replaced_once_however_many_report_it(virtually):
    async def main(clock):
        server = TokenServer(clock, granted("one"), granted("two"), latency=0.5)
        auth = manager(server)
        await auth.token()
        early = await asyncio.gather(*(auth.token(rejected="one") for _ in range(50)))
        late = await auth.token(rejected="one")
        return len(server.asked), {token.value for token in [*early, late]}

    assert virtually(main) == (2, {"two"})


def test_a_halo_that_rejects_every_token_costs_a_call_a_minute(virtually):
    async def main(clock):
        server = TokenServer(clock, *(granted(f"token-{number}") for number in range(500)))
        auth = manager(server)
        token = await auth.token()
        end = clock.monotonic() + 1800
        while clock.monotonic() < end:
            token = await auth.token(rejected=token.value)
            await clock.sleep(0.1)
        return server.times

    times = virtually(main)
    gaps = [later - earlier for earlier, later in pairwise(times[1:])]
    assert gaps[0] >= 5
    assert all(gap >= 60 for gap in gaps[4:])
    assert len(times) <= 36


def test_two_revocations_an_hour_apart_are_each_answered_at_once(virtually):
    async def main(clock):
        server = TokenServer(clock, granted("one"), granted("two"), granted("three"))
        auth = manager(server)
        before = clock.monotonic()
        for value in ((await auth.token()).value, "one"):
            await auth.token(rejected=value)
        assert clock.monotonic() == before
        await clock.sleep(3000)
        before = clock.monotonic()
        value = (await auth.token(rejected=(await auth.token()).value)).value
        return value, clock.monotonic() - before

    assert virtually(main) == ("three", 0)


def test_a_refused_secret_is_not_tried_again_before_5_seconds_doubling_to_60(virtually):
    async def main(clock):
        server = TokenServer(clock, refused("invalid_client"))
        auth = manager(server)
        end = clock.monotonic() + 600
        while clock.monotonic() < end:
            assert isinstance(await auth.token(), NoToken)
            await clock.sleep(0.25)
        return server.times

    times = virtually(main)
    gaps = [round(later - earlier) for earlier, later in pairwise(times)]
    assert gaps[:6] == [5, 10, 20, 40, 60, 60]
    assert set(gaps[6:]) == {60}


def test_after_a_success_the_floor_begins_at_5_seconds_again(virtually):
    async def main(clock):
        server = TokenServer(clock, *[refused("invalid_client")] * 3, granted("one", expires_in=1), refused("invalid_client"))
        auth = manager(server)
        waits = []
        while len(server.asked) < 5:
            await auth.token()
            waits.append(round(auth.retry_delay))
            await clock.sleep(auth.retry_delay or 1.1)
        return waits

    assert virtually(main) == [5, 10, 20, 0, 5]


def test_a_live_token_stays_in_use_while_its_renewal_is_refused(virtually):
    async def main(clock):
        server = TokenServer(clock, granted("one", expires_in=1000), Answer(503))
        auth = manager(server)
        await auth.token()
        await clock.sleep(850)
        values = [await auth.token()]
        await clock.sleep(1)
        values.append(await auth.token())
        await clock.sleep(200)
        return [value.value for value in values], await auth.token(), len(server.asked)

    values, after, calls = virtually(main)
    assert values == ["one", "one"]
    assert isinstance(after, NoToken)
    assert calls == 3


def test_a_secret_that_was_rotated_is_read_again_and_used_at_once(virtually):
    async def main(clock):
        server = TokenServer(clock, refused("invalid_client"), granted("one"))
        rotated = Grant("client_credentials", "app", "new-secret")
        return (await manager(server, reload=lambda: rotated).token()).value, [asked["client_secret"] for asked in server.asked]

    assert virtually(main) == ("one", ["old-secret", "new-secret"])


def test_a_secret_that_did_not_change_or_cannot_be_read_causes_no_second_call(virtually):
    def unreadable():
        raise ConfigError([])

    async def main(clock):
        calls = []
        for reload in (lambda: GRANT, unreadable):
            server = TokenServer(clock, refused("invalid_client"))
            assert isinstance(await manager(server, reload=reload).token(), NoToken)
            calls.append(len(server.asked))
        return calls

    assert virtually(main) == [1, 1]


def test_a_refresh_token_is_used_for_renewal_and_the_grant_when_it_is_refused(virtually):
    async def main(clock):
        grant = Grant("password", "app", username="agent", password="pw")
        short = {"expires_in": 100, "refresh_token": "again"}
        server = TokenServer(clock, granted("one", **short), granted("two", **short), refused("invalid_grant", 400), granted("three"))
        auth = manager(server, grant=grant)
        for _ in range(3):
            await auth.token()
            await clock.sleep(101)
        return [asked["grant_type"] for asked in server.asked], [asked.get("password") for asked in server.asked]

    kinds, passwords = virtually(main)
    assert kinds == ["password", "refresh_token", "refresh_token", "password"]
    assert passwords == ["pw", None, None, "pw"]


def test_a_rejected_token_is_replaced_by_the_grant_not_by_its_refresh_token(virtually):
    async def main(clock):
        server = TokenServer(clock, granted("one", refresh_token="again"), granted("two"))
        auth = manager(server)
        await auth.token()
        await auth.token(rejected="one")
        return [asked["grant_type"] for asked in server.asked]

    assert virtually(main) == ["client_credentials", "client_credentials"]


@pytest.mark.parametrize("life", [None, 0, -1, "soon", "", True, [], {}, "inf", "nan"])
def test_a_token_that_does_not_say_how_long_it_lives_is_taken_for_a_minute(virtually, life):
    async def main(clock):
        body = {"access_token": "one"} | ({} if life is None else {"expires_in": life})
        auth = manager(TokenServer(clock, Answer(200, {}, json.dumps(body).encode())))
        token = await auth.token()
        await clock.sleep(59)
        assert auth.ready() is token
        await clock.sleep(2)
        assert auth.ready() is None

    virtually(main)


@pytest.mark.parametrize(
    ("answer", "trouble", "words"),
    [
        (refused("invalid_client"), TokenErrorKind.REFUSED, "client_id or client_secret is wrong"),
        (refused("invalid_scope", 400), TokenErrorKind.REFUSED, "scopes read:users, all"),
        (refused("invalid_grant", 400), TokenErrorKind.REFUSED, "username or password is wrong"),
        (refused("unauthorized_client", 400), TokenErrorKind.REFUSED, "does not allow the grant password"),
        (refused("Jane Roe", 400), TokenErrorKind.REFUSED, "status 400 and gave no reason"),
        (Answer(403), TokenErrorKind.REFUSED, "status 403"),
        (Answer(404), TokenErrorKind.UNUSABLE, "there is no token endpoint at https://acme.example/auth/token (404): check token_url"),
        (Answer(302, {"location": "https://login.example/?x"}), TokenErrorKind.UNUSABLE, "redirects to login.example"),
        (Answer(200, {"content-type": "text/html"}, b"<html>"), TokenErrorKind.UNUSABLE, "answered 200 with a web page: check token_url"),
        (Answer(200, {}, b'{"token": 1}'), TokenErrorKind.UNUSABLE, "an answer without a token"),
        (Answer(200, {}, b'{"access_token": "two words\\n"}'), TokenErrorKind.UNUSABLE, "an answer without a token"),
        (Answer(200, {}, None, "the answer was cut off"), TokenErrorKind.UNUSABLE, "the answer was cut off"),
        (Answer(429), TokenErrorKind.UNREACHABLE, "answered 429"),
        (Answer(503), TokenErrorKind.UNREACHABLE, "answered 503"),
        (Failure("acme.example:443 cannot be reached: connection refused", sent=False), TokenErrorKind.UNREACHABLE, "connection refused"),
    ],
)
def test_each_way_to_get_no_token_has_its_own_sentence(virtually, answer, trouble, words):
    async def main(clock):
        grant = Grant("password", "app", "marker-secret", "agent", "marker-password", scopes=("read:users", "all"))
        return await manager(TokenServer(clock, answer), grant=grant).token()

    result = virtually(main)
    assert (result.kind, result.reason.startswith("no token: ")) == (trouble, True)
    assert words in result.reason
    assert "marker" not in repr(result)


def test_closing_ends_a_call_under_way(virtually):
    async def main(clock):
        auth = manager(TokenServer(clock, granted("one"), latency=1000.0))
        waiting = asyncio.create_task(auth.token())
        await clock.sleep(1)
        await auth.close()
        await asyncio.wait([waiting])
        return waiting.cancelled(), len(asyncio.all_tasks())

    assert virtually(main) == (True, 1)
