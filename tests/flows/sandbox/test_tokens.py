"""How the simulated Halo lets clients in."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest


async def test_discovery_needs_no_token_and_names_the_authorisation_server_and_the_tenant(visit):
    async with visit(tenant="acme") as visitor:
        told = (await visitor.call("GET", "/api/authinfo", bearer=False)).json
        assert told["auth_url"] == f"{visitor.halo.url}/auth"
        assert told["tenant_id"] == "acme"


async def test_callers_are_sent_to_the_authorisation_server_by_the_name_that_they_came_by(visit):
    async with visit() as visitor:
        told = (await visitor.call("GET", "/api/authinfo", bearer=False, headers={"Host": "halo.test:8090"})).json
        assert told["auth_url"] == "http://halo.test:8090/auth"


async def test_the_openid_configuration_names_the_token_endpoint(visit):
    async with visit() as visitor:
        told = (await visitor.call("GET", "/auth/.well-known/openid-configuration", bearer=False)).json
        assert told["token_endpoint"] == f"{visitor.halo.url}/auth/token"


async def test_instance_info_needs_no_token(visit):
    async with visit() as visitor:
        told = (await visitor.call("GET", "/api/InstanceInfo", bearer=False)).json
        assert told["auth_url"].endswith("/auth")
        assert told["tenant_id"] == visitor.halo.settings.tenant
        assert {"dbid", "app_version", "database_version", "agent_count", "last_login", "nhserver_version"} <= set(told)


async def test_a_token_answer_has_the_six_members_that_strict_clients_ask_for(visit):
    async with visit() as visitor:
        answer = await visitor.token()
        assert answer.status == 200
        assert set(answer.json) == {"scope", "token_type", "access_token", "expires_in", "refresh_token", "id_token"}
        assert (answer.json["token_type"], answer.json["expires_in"], answer.json["scope"]) == ("Bearer", 3600, "all")


async def test_the_id_token_is_a_jwt_that_names_the_agent(visit):
    async with visit() as visitor:
        parts = (await visitor.token()).json["id_token"].split(".")
        header, claims = (json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))) for part in parts[:2])
        agent = visitor.halo.store.get("Agent", 2)
        assert (len(parts), header["typ"]) == (3, "JWT")
        assert (claims["sub"], claims["name"], claims["email"]) == ("2", agent["name"], agent["email"])
        assert claims["exp"] - claims["iat"] == 3600
        assert (await visitor.get("/Agent/me")).json["name"] == agent["name"]


async def test_a_static_key_opens_the_api_where_there_is_one(visit):
    async with visit(api_key="key-1") as visitor:
        for key, status in (("key-1", 200), ("key-2", 401), ("", 401)):
            assert (await visitor.call("GET", "/api/Status", bearer=False, headers={"X-Halo-Api-Key": key})).status == status
    async with visit() as visitor:
        assert (await visitor.call("GET", "/api/Status", bearer=False, headers={"X-Halo-Api-Key": ""})).status == 401


async def test_a_token_without_a_scope_is_given_and_serves_nothing(visit):
    async with visit() as visitor:
        visitor.scope = ""
        answer = await visitor.token()
        assert (answer.status, answer.json["scope"]) == (200, "")
        assert {(await visitor.get(path)).status for path in ("/Tickets", "/Status", "/Agent/me")} == {403}
        assert (await visitor.post("/Tickets", [{"summary": "x"}])).status == 403


async def test_an_edit_scope_reads_its_area_and_no_other(visit):
    async with visit() as visitor:
        visitor.scope = "admin edit:tickets edit:customers"
        assert {(await visitor.get(path)).status for path in ("/Tickets", "/Actions", "/Client", "/Site", "/Users", "/Status")} == {200}
        assert (await visitor.get("/Asset")).status == 403


@pytest.mark.parametrize("scope", ["read:actions", "edit:actions", "read:sites", "read:users", "read:agents"])
async def test_a_scope_that_does_not_exist_is_refused(visit, scope):
    async with visit() as visitor:
        answer = await visitor.token(scope=f"read:tickets {scope}")
        assert (answer.status, answer.json["error"]) == (400, "invalid_scope")


async def test_a_wrong_secret_is_an_invalid_client(visit):
    async with visit() as visitor:
        answer = await visitor.token(client_secret="wrong")
        assert (answer.status, answer.json["error"]) == (401, "invalid_client")
        assert answer.json["error_description"]


async def test_the_password_grant_needs_no_client_secret(visit):
    async with visit(username="sam", password="pass") as visitor:
        answer = await visitor.token(grant_type="password", client_secret="", username="sam", password="pass")
        assert answer.status == 200
        refused = await visitor.token(grant_type="password", client_secret="", username="sam", password="wrong")
        assert (refused.status, refused.json["error"]) == (400, "invalid_grant")


async def test_a_refresh_token_works_once(visit):
    async with visit() as visitor:
        refresh = (await visitor.token()).json["refresh_token"]
        assert (await visitor.token(grant_type="refresh_token", refresh_token=refresh)).status == 200
        assert (await visitor.token(grant_type="refresh_token", refresh_token=refresh)).json["error"] == "invalid_grant"


async def test_the_granted_scope_may_be_narrower_than_the_asked_one(visit):
    async with visit(scopes=("read:tickets",)) as visitor:
        assert (await visitor.token(scope="read:tickets edit:tickets")).json["scope"] == "read:tickets"


async def test_the_tenant_may_come_in_the_query_or_in_the_body(visit):
    async with visit(tenant="acme", tenant_required=True) as visitor:
        assert (await visitor.token()).status == 400
        assert (await visitor.token(tenant="acme")).status == 200
        assert (await visitor.token(tenant="other")).status == 400


async def test_a_wrong_path_of_the_authorisation_server_answers_200_with_a_login_page(visit):
    async with visit() as visitor:
        answer = await visitor.call("POST", "/auth/connect", bearer=False, data={"grant_type": "client_credentials"})
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/html")


async def test_without_a_token_the_answer_is_401_with_a_challenge(visit):
    async with visit() as visitor:
        answer = await visitor.call("GET", "/api/Tickets", bearer=False)
        assert (answer.status, answer.body) == (401, b"")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_token_ends_after_its_time(visit):
    moment = [datetime(2026, 1, 1, tzinfo=UTC)]
    async with visit(now=lambda: moment[0], token_seconds=100) as visitor:
        assert (await visitor.get("/Status")).status == 200
        moment[0] += timedelta(seconds=101)
        assert (await visitor.get("/Status")).status == 401


async def test_revoked_tokens_are_refused_and_a_new_one_works(visit):
    async with visit() as visitor:
        await visitor.get("/Status")
        assert visitor.halo.revoke_tokens() == 1
        assert (await visitor.get("/Status")).status == 401
        visitor.forget_token()
        assert (await visitor.get("/Status")).status == 200


async def test_a_missing_scope_is_403_with_an_empty_body(visit):
    async with visit() as visitor:
        visitor.scope = "read:tickets"
        assert (await visitor.get("/Tickets")).status == 200
        refused = await visitor.post("/Tickets", [{"summary": "x"}])
        assert (refused.status, refused.body) == (403, b"")
        assert (await visitor.get("/Asset")).status == 403
        assert visitor.halo.journal.executed("POST") == []


async def test_a_service_token_has_no_user_and_that_is_401_for_ever(visit):
    async with visit() as visitor:
        assert (await visitor.get("/Client/me")).status == 401
        assert (await visitor.get("/Agent/me")).json["claims"]


async def test_the_journal_knows_every_token_call(visit):
    async with visit() as visitor:
        await visitor.token()
        await visitor.token(client_secret="wrong")
        assert [(call.status, call.scope) for call in visitor.halo.journal.tokens] == [(200, "all"), (401, None)]
