"""Changed route files are read in another process: what it sends over is what a reading in this one makes, and only what changed."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from tests.tools.process import write_routes
from worker.app import route_reader
from worker.app.route_reader import RouteReader
from worker.app.shared_parts import changed_names, replaceable_parts_changed, shared_parts_of
from worker.config.expressions import compile_template
from worker.config.loader import load_routes
from worker.config.reload_protocol import RouteSources, load_changes
from worker.config.routes import Routes
from worker.config.run_templates import compile_json_text, compile_run_template
from worker.config.run_values import Values
from worker.config.source_location import NO_LOCATION
from worker.core.errors import ConfigError, ExpressionError
from worker.core.evaluation import UNDEFINED
from worker.core.ports import Evaluator

SECRET = "planted-secret-of-the-test"
AUTH = {"type": "client_credentials", "client_id": "x", "client_secret": SECRET}
CLIENTS = {"main": {"url": "https://acme.example.com", "auth": AUTH}}


def defined(count: int = 3, **more: Any) -> dict[str, Any]:
    publishers = {
        f"p{number}": {"client": "main", "queue": f"q{number}", "entity": "Asset", "transform": {"payload": {"notes": "{{ n }}"}}} for number in range(count)
    }
    return {"clients": CLIENTS, "publishers": publishers} | more


def files(folder: Path, routes: dict[str, Any], **given: Any) -> RouteSources:
    return RouteSources(write_routes(folder, routes), folder / "secrets", {}, **given)


@pytest.fixture
def here(monkeypatch):
    """Reads in this process, for what does not depend on the other one: an interpreter takes longer to start than to read."""

    async def asked(_: RouteReader, question: bytes) -> bytes:
        return pickle.dumps(load_changes(pickle.loads(question)))

    monkeypatch.setattr(RouteReader, "_asked", asked)


async def read_again(folder: Path, before: Routes, after: dict[str, Any], **given: Any) -> Any:
    return await RouteReader(files(folder, after, **given), lambda: before).read()


async def test_only_what_changed_is_made_again(tmp_path):
    before = files(tmp_path, defined()).load().routes
    after = defined()
    after["publishers"]["p1"]["concurrency"] = 2
    after["publishers"]["p3"] = after["publishers"]["p0"] | {"queue": "q3"}
    del after["publishers"]["p2"]
    found = (await read_again(tmp_path, before, after)).routes
    assert changed_names(before, found) == {"p1", "p2", "p3"}
    assert list(found.publishers) == ["p0", "p1", "p3"]
    assert found.publishers["p0"] is before.publishers["p0"]
    assert found.clients["main"] is before.clients["main"]
    assert found.publishers["p1"].concurrency == 2
    assert shared_parts_of(found) == shared_parts_of(before)
    assert found.secrets.values == before.secrets.values


async def test_it_is_what_a_reading_in_this_process_makes(tmp_path):
    before = files(tmp_path, defined()).load().routes
    after = defined(4)
    found = (await read_again(tmp_path, before, after)).routes
    expected = files(tmp_path, after).load().routes
    assert (changed_names(expected, found), shared_parts_of(found), found.sources) == (set(), shared_parts_of(expected), expected.sources)


@pytest.mark.usefixtures("here")
async def test_a_row_or_a_secret_of_an_integration_that_changes_leaves_every_route_as_it_is(tmp_path):
    """They are taken over beside the routes: `shared_parts_of` and `changed_names` say what begins again."""

    def over(url: str) -> dict[str, Any]:
        auth = {"type": "bearer", "token": "${file:rmm/{{ $customer.key }}}"}
        methods = {"get": {"method": "GET", "path": "/"}}
        rmm = {"customers": {"table": "t", "row": "<<C>>"}, "base_url": "https://{{ $customer.url }}", "auth": auth, "methods": methods}
        book = {"start": {"queue": "rmm"}, "input": {"C": "request^c"}, "first": "a", "steps": {"a": {"method": "rmm.get"}}}
        return defined(1, tables={"t": {"A": {"url": url, "key": "a"}}}, integrations={"rmm": rmm}, runbooks={"rb": book})

    secret = tmp_path / "secrets" / "rmm" / "a"
    secret.parent.mkdir(parents=True)
    secret.write_text("the-first-token-of-a")
    before = files(tmp_path, over("a.example.com")).load().routes
    same = (await read_again(tmp_path, before, over("a.example.com"))).routes
    assert not replaceable_parts_changed(before, same)
    moved = (await read_again(tmp_path, same, over("b.example.com"))).routes
    secret.write_text("the-second-token-of-a")
    renewed = (await read_again(tmp_path, moved, over("b.example.com"))).routes
    for old, new in ((same, moved), (moved, renewed)):
        assert (replaceable_parts_changed(old, new), changed_names(old, new), shared_parts_of(new) == shared_parts_of(old)) == (True, set(), True)
    assert [each.base_url for each in renewed.integrations["rmm"].each] == ["https://b.example.com"]
    assert [each.auth.token for each in renewed.integrations["rmm"].each] == ["the-second-token-of-a"]
    assert renewed.secrets.hide("the-second-token-of-a") == "***"
    assert "token-of-a" not in str(renewed.sources)


@pytest.mark.usefixtures("here")
async def test_a_change_of_an_integration_concerns_the_runbooks_that_call_it(tmp_path):
    def over(path: str) -> dict[str, Any]:
        api = {"base_url": "https://a.example.com", "methods": {"get": {"method": "GET", "path": path}}}
        book = {"start": {"queue": "a"}, "first": "a", "steps": {"a": {"method": "api.get"}}}
        other = {"start": {"queue": "b"}, "first": "a", "steps": {"a": {"end": "done"}}}
        return defined(1, integrations={"api": api}, runbooks={"rb": book, "other": other})

    before = files(tmp_path, over("/a")).load().routes
    found = (await read_again(tmp_path, before, over("/b"))).routes
    assert (changed_names(before, found), shared_parts_of(found) == shared_parts_of(before)) == ({"rb"}, True)


@pytest.mark.usefixtures("here")
async def test_a_change_of_a_client_makes_everything_again(tmp_path):
    before = files(tmp_path, defined()).load().routes
    found = (await read_again(tmp_path, before, defined(clients={"main": CLIENTS["main"] | {"timeout": "5s"}}))).routes
    assert found.clients["main"].timeout == 5
    assert all(found.publishers[name] is not before.publishers[name] for name in before.publishers)


@pytest.mark.usefixtures("here")
async def test_a_definition_over_several_clients_is_a_route_for_each_and_changes_as_one(tmp_path):
    second = CLIENTS | {"second": CLIENTS["main"] | {"url": "https://b.example.com"}}

    def over(*names: str, **more: Any) -> dict[str, Any]:
        return defined(1, clients=second, subscribers={"t": {"client": list(names), "entity": "Tickets"} | more})

    before = files(tmp_path, over("main")).load().routes
    found = (await read_again(tmp_path, before, over("main", every="90s"))).routes
    assert {name: route.every for name, route in found.subscribers.items()} == {"t@main": 90.0}
    assert changed_names(before, found) == {"t@main"}
    assert found.publishers["p0"] is before.publishers["p0"]
    more = (await read_again(tmp_path, found, over("main", "second", every="90s"))).routes
    assert list(more.subscribers) == ["t@main", "t@second"]
    less = (await read_again(tmp_path, more, over("second", every="90s"))).routes
    assert list(less.subscribers) == ["t@second"]
    same = (await read_again(tmp_path, less, over("second", every="90s"))).routes
    assert same.subscribers["t@second"] is less.subscribers["t@second"]
    assert same.sources == files(tmp_path, over("second", every="90s")).load().routes.sources
    slow = over("second", every="90s") | {"clients": second | {"second": second["second"] | {"timeout": "5s"}}}
    again = (await read_again(tmp_path, same, slow)).routes
    assert again.clients["second"].timeout == 5
    assert again.subscribers["t@second"] is not same.subscribers["t@second"]


@pytest.mark.usefixtures("here")
async def test_a_webhook_wakes_the_route_that_its_subscriber_has_become(tmp_path):
    """Otherwise it would put its messages where nobody takes them."""
    hooks = {"hook": {"client": "main", "auth": {"type": "basic", "username": "u", "password": "p" * 20}, "wake": {"subscriber": "t"}}}
    second = CLIENTS | {"second": CLIENTS["main"] | {"url": "https://b.example.com"}}

    def over(client: Any) -> dict[str, Any]:
        return defined(1, clients=second, webhooks=hooks, subscribers={"t": {"client": client, "entity": "Tickets"}})

    before = files(tmp_path, over("main")).load().routes
    found = (await read_again(tmp_path, before, over(["main", "second"]))).routes
    expected = files(tmp_path, over(["main", "second"])).load().routes
    assert found.webhooks["hook"].wake.subscriber == expected.webhooks["hook"].wake.subscriber == "t@main"
    assert changed_names(before, found) == {"t", "t@main", "t@second", "hook"}
    back = (await read_again(tmp_path, found, over("main"))).routes
    assert back.webhooks["hook"].wake.subscriber == "t"


def test_a_new_work_queue_that_senders_could_name_for_their_results_begins_all_routes_anew(tmp_path):
    """A route that runs on would not know of it, and put results there as work."""
    before = files(tmp_path, defined(1)).load().routes
    plain, named = defined(2), defined(2)
    named["publishers"]["p1"]["queue"] = "replies.in"
    assert shared_parts_of(files(tmp_path, plain).load().routes) == shared_parts_of(before)
    assert shared_parts_of(files(tmp_path, named).load().routes) != shared_parts_of(before)


async def test_mistakes_are_those_of_check(tmp_path):
    before = files(tmp_path, defined()).load().routes
    wrong = defined()
    wrong["publishers"]["p1"]["entity"] = "Nonsense"
    with pytest.raises(ConfigError) as told:
        await read_again(tmp_path, before, wrong)
    with pytest.raises(ConfigError) as expected:
        files(tmp_path, wrong).load()
    assert told.value.problems == expected.value.problems


@pytest.mark.usefixtures("here")
async def test_a_broken_file_is_left_out_where_that_is_asked_for(tmp_path):
    before = files(tmp_path, defined()).load().routes
    (tmp_path / "routes" / "broken.yaml").write_text("publishers:\n  bad: {client: main, queue: bad, entity: Nonsense}\n")
    found = await read_again(tmp_path, before, defined(4), skip=True)
    assert list(found.routes.publishers) == ["p0", "p1", "p2", "p3"]
    assert "Nonsense" in str(found.problems[0])


@pytest.mark.parametrize(("module", "how"), [("no.such.module", "ended with exit code 1"), ("this", "gave no answer")])
async def test_a_process_that_ends_badly_is_a_mistake_that_is_told(tmp_path, monkeypatch, module, how):
    before = files(tmp_path, defined()).load().routes
    monkeypatch.setattr(route_reader, "MODULE", module)
    with pytest.raises(ConfigError) as told:
        await read_again(tmp_path, before, defined(4))
    assert how in str(told.value.problems[0])


async def test_a_process_that_never_ends_is_ended(tmp_path, monkeypatch):
    before = files(tmp_path, defined()).load().routes
    monkeypatch.setattr(route_reader, "READ_TIMEOUT", 0.01)
    with pytest.raises(ConfigError, match="did not end within"):
        await read_again(tmp_path, before, defined(4))


async def test_the_worker_spends_no_time_of_its_own_on_routes_that_did_not_change(tmp_path):
    """A reading in a thread held up the event loop for all of it: 2.3 s of processor time with 500 routes, of which 4 ms are left."""
    many = files(tmp_path, defined(100))
    began = time.process_time()
    before = many.load().routes
    alone = time.process_time() - began
    after = defined(100)
    after["publishers"]["p1"]["concurrency"] = 2
    reader = RouteReader(files(tmp_path, after), lambda: before)
    began = time.process_time()
    await reader.read()
    assert time.process_time() - began < alone / 5


def test_a_secret_does_not_show(tmp_path):
    assert SECRET not in repr(RouteSources(tmp_path, tmp_path, {"X": SECRET}))


def sent_over(template: Any) -> Any:
    return pickle.loads(pickle.dumps(template))


class Echo:
    """An evaluator whose expressions are the names of members of the context."""

    async def answer(self, question: Any) -> list[Any]:
        return [question.context.get(text.strip(), UNDEFINED) for text in question.expressions]


VALUE = {"a": "{{ a }}", "list": ["{{ a }}", 1, None], "text": "x {{ a }} y", "gone?": "{{ b }}", "plain": "p"}


@pytest.mark.parametrize("missing", ["fail", "omit", "null"])
async def test_a_template_of_another_process_makes_the_same_value(missing):
    evaluator: Evaluator = Echo()
    ours = compile_template(VALUE, missing=missing)
    assert await sent_over(ours).evaluate({"a": 1}, {}, evaluator) == await ours.evaluate({"a": 1}, {}, evaluator)
    if missing == "fail":
        with pytest.raises(ExpressionError, match="`a` is missing"):
            await sent_over(ours).evaluate({}, {}, evaluator)
    else:
        assert await sent_over(ours).evaluate({}, {}, evaluator) == await ours.evaluate({}, {}, evaluator)


async def test_run_templates_too():
    values = Values({"Name": "n", "Ticket": 3}, frozenset({"Name"}), 200, {"x": 1}, {"y": [2]})
    for ours in (
        compile_run_template({"a": "<<Name>>", "b": "t <<Ticket>> <<request^y^0>>", "c?": "<<Nothing>>", "d": "{{ x }}", "e": "<<response>>"}),
        compile_json_text('{"a": "<<Name>>", "b": <<Ticket>>}', NO_LOCATION),
    ):
        assert await sent_over(ours).fill(values, Echo()) == await ours.fill(values, Echo())


def test_every_sample_can_be_sent_over():
    root = Path(__file__).parents[3]
    routes = load_routes(root / "routes", {}, root, placeholders=True)
    again = sent_over(routes)
    assert (again.sources, list(again.runbooks), again.tables) == (routes.sources, list(routes.runbooks), routes.tables)


@pytest.mark.usefixtures("here")
async def test_tables_go_over_only_where_a_file_of_them_changed(tmp_path):
    before = files(tmp_path, defined()).load().routes
    kept = (await read_again(tmp_path, before, defined(4))).routes
    assert kept.tables is before.tables
