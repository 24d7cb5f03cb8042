"""`doctor` looks at each integration: its name, its address, its certificate and its token, and calls no method but a login."""

import socket

import pytest
from aiohttp import web

from tests.flows.doctor.test_doctor import checks, of
from tests.tools.certificates import Authority, serving
from worker.app.doctor.check import CheckVerdict, healthy

LOGIN = {"type": "login", "method": "login", "token": "response^token!"}


@pytest.fixture
async def api(tmp_path):
    """Serves tokens and logins with TLS; `calls` are the paths that were asked for."""

    class Api:
        calls: list[str]
        status = 200
        port = 0
        ca_file = ""

    async def answer(request):
        made.calls.append(request.path)
        return web.json_response({"access_token": "marker-token", "token": "marker-token", "expires_in": 60}, status=made.status)

    made, authority = Api(), Authority(tmp_path)
    made.calls, made.ca_file = [], str(authority.ca_file)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=serving(authority.good())).start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


def integration(api, auth=None, **more):
    methods = {"login": {"method": "POST", "path": "/login"}, "things": {"method": "GET", "path": "/things"}}
    base = {"base_url": f"https://127.0.0.1:{api.port}", "allow_hosts": ["127.0.0.1"], "ca_file": api.ca_file, "methods": methods}
    return {"integrations": {"erp": base | ({"auth": auth} if auth else {}) | more}}


def oauth2(api):
    return {"type": "oauth2", "token_url": f"https://127.0.0.1:{api.port}/token", "client_id": "a", "client_secret": "b"}


async def test_a_login_and_a_token_are_tried_and_no_other_method_is_called(tmp_path, api):
    for auth, tried in ((LOGIN, "log in by erp.login"), (oauth2(api), f"ask https://127.0.0.1:{api.port}/token for a token")):
        found = await checks(tmp_path, integration(api, auth))
        assert healthy(found), found
        assert (of(found, "token").verdict, of(found, "token").tried, of(found, "tls").verdict) == (CheckVerdict.GOOD, tried, CheckVerdict.GOOD)
        assert "marker-token" not in str(found)
    assert api.calls == ["/login", "/token"]


@pytest.mark.parametrize("auth", [None, {"type": "bearer", "token": "marker"}])
async def test_what_is_sent_as_it_is_cannot_be_tried_without_a_call(tmp_path, api, auth):
    found = await checks(tmp_path, integration(api, auth))
    assert (of(found, "token").verdict, api.calls) == (CheckVerdict.UNKNOWN, [])
    assert "halo-worker call erp.METHOD" in of(found, "token").result


async def test_a_refused_login_is_told_with_its_remedy(tmp_path, api):
    api.status = 401
    check = of(await checks(tmp_path, integration(api, LOGIN)), "token")
    assert (check.verdict, "answered 401" in check.result, "credentials under `auth`" in check.fix) == (CheckVerdict.FAILED, True, True)


async def test_a_certificate_that_is_not_believed_ends_the_checks(tmp_path, api):
    found = await checks(
        tmp_path, {"integrations": {"erp": {key: value for key, value in integration(api, LOGIN)["integrations"]["erp"].items() if key != "ca_file"}}}
    )
    assert [(check.name, check.verdict) for check in found if check.subject == "integration erp"] == [("dns", CheckVerdict.GOOD), ("tls", CheckVerdict.FAILED)]
    assert "`ca_file` of the integration" in of(found, "tls").fix


async def test_files_that_are_not_there_are_told(tmp_path, api):
    check = of(await checks(tmp_path, integration(api, cert_file="/nowhere/cert.pem")), "tls")
    assert (check.verdict, check.result) == (CheckVerdict.FAILED, "cert_file /nowhere/cert.pem cannot be used: No such file or directory")


async def test_a_name_that_leads_inside_is_told_before_anything_connects(tmp_path, api, monkeypatch):
    real = socket.getaddrinfo

    def inside(host, port, *args, **kwargs):
        return real("127.0.0.1" if host == "api.example.com" else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", inside)
    found = await checks(tmp_path, integration(api, LOGIN, base_url=f"https://api.example.com:{api.port}", allow_hosts=[]))
    assert [(check.name, check.verdict) for check in found if check.subject == "integration erp"] == [("address", CheckVerdict.FAILED)]
    assert ("allow_hosts" in of(found, "address").fix, api.calls) == (True, [])


async def test_through_a_proxy_the_own_name_is_not_looked_up(tmp_path, api):
    found = await checks(tmp_path, integration(api, base_url="https://nowhere.invalid", proxy=f"http://127.0.0.1:{api.port}"))
    assert (of(found, "dns").tried, of(found, "tls").verdict) == ("look up 127.0.0.1 (the proxy)", CheckVerdict.UNKNOWN)


async def test_a_table_of_customers_is_one_line_and_a_line_for_each_customer_that_fails(tmp_path):
    rows = {f"good-{number}": {"host": "127.0.0.1"} for number in range(20)} | {"bad": {"host": "nowhere.invalid"}}
    methods = {"things": {"method": "GET", "path": "/things"}}
    rmm = {"customers": {"table": "tenants", "row": "{{ Customer }}"}, "base_url": "http://{{ $customer.host }}:9", "methods": methods}
    rmm |= {"allow_hosts": ["{{ $customer.host }}"], "auth": {"type": "bearer", "token": "marker-token"}}
    found = [check for check in await checks(tmp_path, {"tables": {"tenants": rows}, "integrations": {"rmm": rmm}}) if "rmm" in check.subject]
    assert [(check.subject, check.name, check.verdict) for check in found] == [
        ("integration rmm (bad)", "dns", CheckVerdict.FAILED),
        ("integration rmm", "customers", CheckVerdict.FAILED),
    ]
    assert found[1].result == "1 of 21 customers failed"
    del rows["bad"]
    [whole] = [check for check in await checks(tmp_path, {"tables": {"tenants": rows}, "integrations": {"rmm": rmm}}) if "rmm" in check.subject]
    assert whole.verdict is CheckVerdict.UNKNOWN
    assert whole.result.startswith("none of 20 customers failed; token: the credentials are sent with each call")
