"""The OpenAPI file that the simulated Halo serves, and `halo-worker catalogue compare` against it and against what is no such file."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from worker.catalogue.catalogue import load
from worker.catalogue.openapi import openapi_document
from worker.catalogue.tenant import SWAGGER_PATH, parse_openapi
from worker.cli.catalogue import compare
from worker.core.errors import ConfigError, WorkerError
from worker.halo import openapi_file
from worker.halo.openapi_file import NotFetched, fetch_openapi, openapi_address

ROUTES = """
clients:
  main:
    url: https://acme.haloitsm.com
    auth: {type: client_credentials, client_id: worker, client_secret: hidden-away}
  other:
    url: https://globex.haloitsm.com
    auth: {type: client_credentials, client_id: worker, client_secret: hidden-away}
subscribers:
  feed: {client: main, entity: Tickets, request: {query: {mine: true}}}
  fine: {client: other, entity: Asset}
"""


@pytest.fixture
def compared(tmp_path: Path) -> Callable[..., int]:
    """Runs the command beside these route files; in a thread, since it has a loop of its own."""
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "all.yaml").write_text(ROUTES, "utf-8")

    def run(source: str, routes: str = "routes", client: str | None = None, *, as_json: bool = False) -> int:
        return compare(source, tmp_path / routes, {}, tmp_path, client=client, as_json=as_json)

    return run


@pytest.fixture
def tenant_file(tmp_path: Path) -> str:
    """The file of a tenant with one operation more, and without the parameter `mine` of the list of tickets."""
    document = openapi_document(load())
    document["paths"]["/BrandNew"] = {"get": {"parameters": []}}
    listing = document["paths"]["/Tickets"]["get"]
    listing["parameters"] = [one for one in listing["parameters"] if one["name"] != "mine"]
    path = tmp_path / "tenant.json"
    path.write_text(json.dumps(document), "utf-8")
    return str(path)


@asynccontextmanager
async def serving(answer: Callable[[web.Request], web.StreamResponse]) -> AsyncIterator[URL]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return answer(request)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    async with TestServer(app) as server:
        yield server.make_url("/")


async def test_the_file_is_served_without_a_token_and_makes_the_built_in_catalogue(visit):
    async with visit() as visitor:
        answer = await visitor.call("GET", "/api/Swagger/v2/swagger.json", bearer=False)
        assert answer.headers["Content-Type"].startswith("application/json")
        assert parse_openapi(answer.body).data == load().data


async def test_the_simulated_halo_has_everything_that_routes_use(visit, compared, capsys):
    async with visit() as visitor:
        assert await asyncio.to_thread(compared, visitor.halo.url) == 0
        assert capsys.readouterr().out.splitlines()[-2:] == [
            f"{visitor.halo.url}: 1331 operations; no difference",
            "good: the tenant's API has everything that the routes use",
        ]


def test_what_differs_is_a_table_and_what_the_routes_lack_is_told_at_its_place(compared, tenant_file, capsys):
    assert compared(tenant_file) == 1
    told = capsys.readouterr()
    assert [line.split() for line in told.out.splitlines()[1:3]] == [
        ["added", "GET", "BrandNew", "operation"],
        ["removed", "GET", "Tickets", "query", "mine", "bool"],
    ]
    assert told.out.splitlines()[-1].endswith("1332 operations; 1 operation added, 1 parameter removed")
    assert "routes/all.yaml:10:59: GET Tickets has no query parameter 'mine'" in told.err


def test_a_member_that_only_the_tenant_lacks_is_told_too(compared, tmp_path, capsys):
    document = openapi_document(load())
    del document["components"]["schemas"]["Device"]["properties"]["inventory_number"]
    (tmp_path / "older.json").write_text(json.dumps(document), "utf-8")
    payload = "{inventory_number: a, misspelt_anyway: b}"
    (tmp_path / "routes" / "more.yaml").write_text(f"publishers:\n  p: {{client: main, queue: q, entity: Asset, transform: {{payload: {payload}}}}}\n", "utf-8")
    assert compared(str(tmp_path / "older.json")) == 1
    told = capsys.readouterr().err
    assert "no member `inventory_number`" in told
    assert "misspelt_anyway`" not in told


def test_programs_get_the_same_as_json(compared, tenant_file, capsys):
    assert compared(tenant_file, as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["fits"], told["operations"], [problem["line"] for problem in told["routes"]]) == (False, 1332, [10])
    assert told["differences"][1] == {
        "change": "removed",
        "method": "GET",
        "path": "/Tickets",
        "part": "query",
        "parameter": "mine",
        "ours": "bool",
        "theirs": None,
    }


def test_the_routes_of_one_client_can_be_looked_at_alone(compared, tenant_file, capsys):
    assert compared(tenant_file, client="other") == 0
    assert compared(tenant_file, client="main") == 1
    with pytest.raises(ConfigError, match="there is no client 'mian'; did you mean main"):
        compared(tenant_file, client="mian")


def test_without_route_files_only_the_catalogues_are_compared(compared, tenant_file, capsys):
    assert compared(tenant_file, routes="absent") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "no route files: only the catalogues were compared"
    assert compared(tenant_file, routes="absent", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["routes"] is None


def test_broken_route_files_are_told_after_the_differences(compared, tenant_file, tmp_path, capsys):
    (tmp_path / "routes" / "broken.yaml").write_text("subscribers: {x: {client: main}}\n", "utf-8")
    with pytest.raises(ConfigError, match="`entity` is missing"):
        compared(tenant_file)
    assert "BrandNew" in capsys.readouterr().out


@pytest.mark.parametrize("source", ["absent.json", ".", "https://user:hidden-away@acme.haloitsm.com", "http://", "https://[x"])
def test_a_source_that_cannot_be_used_is_a_mistake_of_usage(compared, source):
    with pytest.raises(ConfigError) as refused:
        compared(source, routes="absent")
    assert "hidden-away" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "fetched"),
    [
        ("https://acme.haloitsm.com", "https://acme.haloitsm.com/api/swagger/v2/swagger.json"),
        ("https://acme.haloitsm.com/api/", "https://acme.haloitsm.com/api/swagger/v2/swagger.json"),
        ("https://intranet/halo/", "https://intranet/halo/api/swagger/v2/swagger.json"),
        ("https://acme.haloitsm.com/other/v3.json?x=1", "https://acme.haloitsm.com/other/v3.json?x=1"),
    ],
)
def test_the_address_of_a_halo_leads_to_its_file(given, fetched):
    assert str(openapi_address(URL(given))) == fetched


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: web.Response(status=404), f"answered with status 404: the file of a Halo is at {SWAGGER_PATH}"),
        (lambda _: web.Response(text="<!doctype html>", content_type="text/html"), "answered with a web page"),
        (lambda _: web.Response(status=302, headers={"Location": "https://login.example.com/x?secret=1"}), "redirects to login.example.com"),
        (lambda _: web.Response(body=b"{" * (2 * 1024 * 1024)), "the answer is larger than 1 MiB"),
    ],
    ids=["absent", "page", "redirect", "endless"],
)
async def test_what_is_no_file_is_told_and_nothing_is_followed(answer, reason, monkeypatch):
    monkeypatch.setattr(openapi_file, "MAX_BYTES", 1024 * 1024)
    async with serving(answer) as url:
        with pytest.raises(NotFetched, match=reason):
            await fetch_openapi(url)


async def test_a_host_that_does_not_answer_is_told():
    with pytest.raises(WorkerError, match="cannot be reached"):
        await fetch_openapi(URL("http://127.0.0.1:9"))
