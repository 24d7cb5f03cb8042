"""`runbook import`, `pull` and `export` as people and programs run them: files, reports, exit codes, and no secret anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.flows.halo_runbooks.conftest import settle_in
from tests.tools.commands import Ended, run_command
from tests.tools.halo_documents import Case, Row, call, chain, declare, ends, runbook, sound
from tests.tools.job import client
from tests.tools.process import write_routes


@dataclass
class Shell:
    folder: Path
    routes: Path

    async def run(self, *arguments: str, **variables: str) -> Ended:
        (self.folder / "secrets").mkdir(exist_ok=True)
        return await run_command(self.folder, *arguments, variables=variables, routes=self.routes)

    def document(self, name: str, value: Any) -> str:
        path = self.folder / name
        path.write_bytes(orjson.dumps(value))
        return str(path)

    def written(self) -> dict[str, str]:
        return {str(path.relative_to(self.routes)): path.read_text("utf-8") for path in sorted(self.routes.rglob("*")) if path.is_file()}


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path, tmp_path / "routes")


def whole(case: Case) -> dict[str, list[Row]]:
    return {"integrations": case.integrations, "runbooks": case.runbooks}


async def test_route_files_and_a_report_are_written_and_check_accepts_them(shell):
    ended = await shell.run("runbook", "import", shell.document("all.json", whole(sound()["a ticket is made and noted"])))
    assert (ended.code, ended.err) == (0, "")
    assert "runbook Make ticket → runbook-make-ticket.yaml" in ended.out
    assert {"HALO_URL", "HALO_CLIENT_SECRET", "VENDOR_API_TOKEN"} <= set(ended.out.split())
    assert sorted(shell.written()) == [
        "clients.yaml",
        "halo/integration-vendor-api.json",
        "halo/runbook-make-ticket.json",
        "integration-vendor-api.yaml",
        "runbook-make-ticket.yaml",
    ]
    variables = {"HALO_URL": "https://a.haloitsm.com", "HALO_CLIENT_ID": "id", "HALO_CLIENT_SECRET": "s" * 20, "VENDOR_API_TOKEN": "t" * 20}
    assert (await shell.run("check", **variables)).code == 0


async def test_a_runbook_that_is_pulled_goes_back_to_halo_as_it_was(shell, halos):
    halo = await halos()
    books = [
        runbook("First", [call(1, "Ping", 17, 2), chain(2, "Go on", "Second")]),
        runbook("Second", [call(1, "Remove", 15, 90), *ends()[:1]], [declare("OrderId", "7", 3)]),
    ]
    guids = settle_in(Case(books), halo)
    write_routes(shell.folder, {"clients": {"main": client(halo)}})
    pulled = await shell.run("runbook", "pull", "main", "First")
    assert pulled.code == 0, pulled.out + pulled.err
    assert {"runbook-first.yaml", "runbook-second.yaml", "integration-vendor-api.yaml"} <= set(shell.written())
    for name, book in (("first", books[0]), ("second", books[1])):
        exported = orjson.loads((await shell.run("runbook", "export", name)).out)
        row = halo.store.get("webhook", guids[book["id"]])
        assert exported == {member: value for member, value in row.items() if value is not None and member in exported}
        assert exported["steps"] == row["steps"]
    missed = await shell.run("runbook", "pull", "main", "Frist")
    assert (missed.code, "no runbook 'Frist'; did you mean First?" in missed.err) == (1, True)
    saved = await shell.run("runbook", "pull", "main", "Second", "--save", str(shell.folder / "saved.json"))
    assert saved.code == 0
    assert [book["name"] for book in orjson.loads((shell.folder / "saved.json").read_bytes())["runbooks"]] == ["Second"]


@pytest.mark.parametrize(
    ("arguments", "what"), [(("nobody",), "no client 'nobody'"), (("main", "Nothing"), "Halo shows no runbooks"), (("main",), "Halo shows no runbooks")]
)
async def test_what_cannot_be_pulled_is_named(shell, halos, arguments, what):
    write_routes(shell.folder, {"clients": {"main": client(await halos())}})
    ended = await shell.run("runbook", "pull", *arguments)
    assert (ended.code, what in ended.err) == (1, True)
