"""The line that a mistake shows: as the file has it, with the place, and without credentials."""

import pytest

from tests.tools.every import every
from worker.core.errors import ConfigError

SECRET = "planted-Hunter2"


def problems(load, text, **more):
    with pytest.raises(ConfigError) as raised:
        load(text, client=False, **more)
    return raised.value.problems


def shown(load, text, **more):
    return [problem.excerpt for problem in problems(load, text, **more)]


CLIENT = "clients:\n  main:\n    url: https://acme.haloitsm.com\n"


def test_the_caret_is_under_the_place(load):
    (problem,) = problems(
        load, CLIENT + "    auth: {type: client_credentials, client_id: a, client_secret: b}\nsubscribers:\n  a: {client: main, entity: Agnt}\n"
    )
    assert problem.excerpt == "  a: {client: main, entity: Agnt}"
    assert problem.excerpt[problem.caret :] == "Agnt}"


@every(
    "line",
    [
        f"    auth: {{type: client_credentials, client_id: a, client_secret: {SECRET}, colour: red}}",
        f"    auth: {{type: client_credentials, client_id: a, clent_secret: {SECRET}}}",
        f"    auth: {{colour: red, client_secret: '{SECRET}', type: client_credentials, client_id: a}}",
        f"    auth: {{type: password, client_id: a, username: b, passwrd: {SECRET}}}",
        f"    auth: {{type: client_credentials, client_id: a, client_secret: x}}\n    proxy: http://user:{SECRET}@proxy:x",
        f"    auth: {{type: client_credentials, client_id: a, client_secret: x}}\n    proxy: http://user:a/{SECRET}@proxy:3128",
        f"    auth: {{type: client_credentials, client_id: a, client_secret: x}}\n    headers: {{X-Own: {SECRET}, 'bad header': x}}",
        f"    auth: {{type: client_credentials, client_id: a, client_secret: {SECRET}, : x]",
        f"    auth:\n      type: client_credentials\n      client_id: a\n      colour: red\n      client_secret: {SECRET} : {SECRET}",
    ],
)
def test_a_literal_credential_is_never_shown(load, line):
    found = problems(load, f"{CLIENT}{line}\n")
    assert all(SECRET not in problem.excerpt + problem.message for problem in found)
    assert any(problem.excerpt for problem in found)


def test_the_caret_keeps_its_place_behind_a_masked_value(load):
    (problem,) = problems(load, f"{CLIENT}    auth: {{type: client_credentials, client_id: a, client_secret: {SECRET}, colour: red}}\n")
    assert problem.excerpt == "    auth: {type: client_credentials, client_id: a, client_secret: ***, colour: ***}"
    assert problem.excerpt[problem.caret :] == "colour: ***}"


def test_a_variable_is_shown_by_its_name(load):
    text = f"{CLIENT}    auth: {{type: client_credentials, client_id: a, client_secret: b}}\n    rate_limit: ${{RATE}}\n    tenant: {SECRET}\n    colour: {SECRET}\n"
    assert shown(load, text, environment={"RATE": SECRET}) == ["    rate_limit: ${RATE}", "    colour: ${RATE}"]


def test_of_a_long_line_only_what_is_near_the_place_is_shown(load):
    good = "    auth: {type: client_credentials, client_id: a, client_secret: b}\nsubscribers:\n"
    (problem,) = problems(load, f"{CLIENT}{good}  a: {{client: main, entity: Agent, queue: {'a' * 200}, colour: {'c' * 300}}}\n")
    assert len(problem.excerpt) == 162
    assert problem.excerpt.startswith("…")
    assert problem.excerpt.endswith("…")
    assert problem.excerpt[problem.caret :].startswith("colour: ccc")


def test_a_tab_counts_for_one_column(load):
    (problem,) = problems(load, CLIENT + "    auth: {type: client_credentials,\tclient_id: a,\tclient_secret: b,\tcolour: red}\n")
    assert problem.excerpt[problem.caret :] == "colour: ***}"
    assert "\t" not in problem.excerpt


def test_a_directory_has_no_line(load, tmp_path):
    (tmp_path / "routes").mkdir()
    (problem,) = problems(load, "")
    assert (problem.line, problem.excerpt) == (0, "")
