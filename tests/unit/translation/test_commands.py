"""`runbook import` and `export` in this process: files, reports, exit codes, and no secret anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.tools.commands import Ended
from tests.tools.halo_documents import Case, Row, call, declare, ends, hostile, method, output, runbook, sound, vendor
from worker.cli.main import app
from worker.core.errors import ConfigError, WorkerError

SECRETS = ("hunter2-Hunter2", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOjF9.c2lnbmF0dXJl", "Basic-Pa55word/9", "client-Secret-77=", "url-Secret-55", "query-Secret-33")


@dataclass
class Shell:
    folder: Path
    routes: Path
    capture: Any

    def run(self, *arguments: str) -> Ended:
        """As the command line ends, without its process."""
        try:
            code = app(arguments, standalone_mode=False)
            said = ""
        except ConfigError as error:
            code, said = 2, str(error)
        except WorkerError as error:
            code, said = 1, str(error)
        seen = self.capture.readouterr()
        return Ended(code, seen.out, seen.err + said)

    def document(self, name: str, value: Any) -> str:
        path = self.folder / name
        path.write_bytes(orjson.dumps(value))
        return str(path)

    def written(self) -> dict[str, str]:
        return {str(path.relative_to(self.routes)): path.read_text("utf-8") for path in sorted(self.routes.rglob("*")) if path.is_file()}


@pytest.fixture
def shell(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORKER_ROUTES", str(tmp_path / "routes"))
    return Shell(tmp_path, tmp_path / "routes", capsys)


def whole(case: Case) -> dict[str, list[Row]]:
    return {"integrations": case.integrations, "runbooks": case.runbooks}


def secretive() -> dict[str, list[Row]]:
    """Secrets wherever people put them."""
    first, token, basic, secret, url, query = SECRETS
    methods = [
        method(1, "Log in", 1, "/login", requestbody=f'{{"user": "app", "password": "{first}"}}', output_variables=[output("Token", "<<response^token!>>")]),
        method(
            2,
            "Read",
            0,
            f"/read?api_key={query}",
            headers=[{"key": "X-Api-Key", "value": first}, {"key": "X-Trace", "value": token}],
            note=f"the key is {first}",
        ),
        method(3, "Old", 1, "/old", headers=[{"key": "Content-Type", "value": "application/x-www-form-urlencoded"}], requestbody=f"user=a&password={basic}"),
    ]
    made = vendor(
        authorizationtype=4,
        granttype=0,
        tokenurl="https://id.example/token?tenant=a",
        client_id="app",
        new_client_secret=secret,
        methods=methods,
        note=f"https://u:{url}@old.example",
    )
    steps = [call(1, "Log in", 1, 2), call(2, "Read", 2, 3), call(3, "Old", 3, 90), *ends()[:1]]
    return {"integrations": [made], "runbooks": [runbook("Secretive", steps, [declare("ApiPassword", basic)], basic_password=first)]}


def test_route_files_copies_and_a_report_are_written(shell):
    ended = shell.run("runbook", "import", shell.document("all.json", whole(sound()["a ticket is made and noted"])))
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


def test_no_secret_is_written_or_printed_and_the_report_lists_what_to_set(shell):
    document = secretive()
    text = shell.run("runbook", "import", shell.document("s.json", document))
    assert text.code == 0, text.out + text.err
    as_json = shell.run("runbook", "import", "--force", "--json", str(shell.folder / "s.json"))
    exported = shell.run("runbook", "export", "vendor-api")
    seen = "\n".join([*shell.written().values(), text.out, text.err, as_json.out, as_json.err, exported.out, exported.err])
    assert [secret for secret in SECRETS if secret in seen] == []
    listed = orjson.loads(as_json.out)["set"]
    assert len([name for name in listed if name.startswith(("VENDOR_API_", "SECRETIVE_"))]) >= len(SECRETS)
    used = {part.split("}")[0] for content in shell.written().values() for part in content.split("${")[1:]}
    assert used <= set(listed)


def test_what_is_refused_is_named_and_the_rest_is_written(shell):
    cases = [hostile()["an SQL step"], sound()["one call"]]
    ended = shell.run(
        "runbook",
        "import",
        "--json",
        shell.document("two.json", {"integrations": cases[0].integrations, "runbooks": [book for case in cases for book in case.runbooks]}),
    )
    report = orjson.loads(ended.out)
    assert ended.code == 1
    assert {each["name"]: each["refused"] for each in report["documents"] if each["refused"]} == {
        "SQL": [
            {
                "place": "Read rows",
                "reason": "the step runs an SQL query: read the rows by a subscriber with `report`, or by a method of an integration with the report API",
            }
        ]
    }
    assert "runbook-one-call.yaml" in shell.written()
    assert "runbook-sql.yaml" not in shell.written()


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b'{"a": ' * 2000])
def test_a_file_without_documents_is_refused_by_its_name(shell, content):
    path = shell.folder / "broken.json"
    path.write_bytes(content)
    ended = shell.run("runbook", "import", str(path))
    assert ended.code == 2
    assert "broken.json" in ended.err
    assert not shell.routes.exists()


@pytest.mark.parametrize("value", [7, "text", {}, [{"name": "x"}], [[]] * 3])
def test_what_is_no_document_is_refused_by_its_place(shell, value):
    ended = shell.run("runbook", "import", "--json", shell.document("odd.json", value))
    refused = [refusal["place"] for each in orjson.loads(ended.out)["documents"] for refusal in each["refused"]]
    assert (ended.code, all(place.startswith("odd.json") for place in refused)) == ((1, True) if value != [[]] * 3 else (0, True))


def test_files_that_are_there_are_replaced_only_when_asked(shell):
    path = shell.document("one.json", whole(sound()["one call"]))
    assert (shell.run("runbook", "import", path)).code == 0
    (shell.routes / "runbook-one-call.yaml").write_text("# mine\n", "utf-8")
    again = shell.run("runbook", "import", path)
    assert (again.code, "--force" in again.err) == (2, True)
    assert shell.written()["runbook-one-call.yaml"] == "# mine\n"
    assert (shell.run("runbook", "import", "--force", path)).code == 0
    assert "one-call:" in shell.written()["runbook-one-call.yaml"]


def test_an_export_of_what_is_not_there_names_the_nearest(shell):
    shell.run("runbook", "import", shell.document("one.json", whole(sound()["one call"])))
    ended = shell.run("runbook", "export", "one-cal")
    assert (ended.code, "did you mean one-call" in ended.err) == (1, True)


@pytest.mark.parametrize(("name", "place"), [("rmm", "rmm"), ("tell", "alert")])
def test_an_integration_of_many_customers_and_a_runbook_that_calls_it_are_refused_by_name(shell, name, place):
    shell.routes.mkdir()
    rmm = {"customers": {"table": "t", "row": "<<C>>"}, "base_url": "https://{{ $customer.url }}", "methods": {"alert": {"method": "GET", "path": "/"}}}
    book = {"start": {"queue": "q"}, "input": {"C": "request^c"}, "first": "alert", "steps": {"alert": {"method": "rmm.alert"}}}
    (shell.routes / "a.yaml").write_bytes(orjson.dumps({"integrations": {"rmm": rmm}, "runbooks": {"tell": book}}))
    ended = shell.run("runbook", "export", name)
    assert (ended.code, ended.out) == (1, "")
    assert f"refused: {place}: " in ended.err
    assert "counterpart in Halo" in ended.err
