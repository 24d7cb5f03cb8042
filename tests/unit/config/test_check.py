"""The command `check` for programs."""

import orjson

from worker.cli.check import check

GOOD = """
clients:
  main: {url: "https://acme.haloitsm.com", auth: {type: client_credentials, client_id: a, client_secret: hidden-away}}
subscribers:
  feed: {client: main, entity: Agent, cron: "0 * * * *", changes: all}
publishers:
  sink: {client: main, queue: q, entity: Asset, find: {match: {a: 1}}}
"""


def checked(tmp_path, capsys, text):
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "a.yaml").write_text(text)
    code = check(tmp_path / "routes", {}, tmp_path, as_json=True)
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "hidden" not in printed.out
    return code, orjson.loads(printed.out)


def test_json_of_good_files_tells_what_each_route_does(tmp_path, capsys):
    assert checked(tmp_path, capsys, GOOD) == (
        0,
        {
            "ok": True,
            "clients": ["main"],
            "routes": [
                {"route": "feed", "kind": "subscriber", "client": "main", "does": "GET Agent at 0 * * * *, every record → exchange halo"},
                {"route": "sink", "kind": "publisher", "client": "main", "does": "queue q → POST Asset, 4 at a time, looks before it repeats"},
            ],
            "warnings": [],
        },
    )


def test_json_of_bad_files_tells_each_problem_with_its_place(tmp_path, capsys):
    code, said = checked(tmp_path, capsys, GOOD.replace("entity: Agent", "entity: Agnt"))
    assert (code, said["ok"]) == (2, False)
    (problem,) = said["problems"]
    assert (problem["file"], problem["line"], problem["column"]) == ("routes/a.yaml", 5, 32)
    assert "Agnt" in problem["message"]


AUTOMATION = """
integrations:
  own: {auth: {type: halo, client: main}, methods: {me: {method: GET, path: /Agent/me}, all: {method: GET, path: /Agent}}}
runbooks:
  book: {first: a, steps: {a: {method: own.me, next: b}, b: {action: get_control, client: main}}, concurrency: 1}
webhooks:
  hook: {client: main, events: [new_ticket, 99], auth: {type: basic, username: a, password: hidden-too-of-the-test}, runbook: book, publish: {}, wake: {subscriber: feed}}
"""


def test_json_tells_what_integrations_runbooks_and_webhooks_do(tmp_path, capsys):
    code, said = checked(tmp_path, capsys, GOOD + AUTOMATION)
    assert code == 0
    assert said["routes"][2:] == [
        {"route": "own", "kind": "integration", "client": "main", "does": "2 methods of https://acme.haloitsm.com/api: me, all"},
        {"route": "book", "kind": "runbook", "client": "main", "does": "webhook hook → 2 steps, 1 at a time"},
        {
            "route": "hook",
            "kind": "webhook",
            "client": "main",
            "does": "new_ticket, 99 at /webhooks/hook → runbook book, exchange halo, wakes feed",
        },
    ]
