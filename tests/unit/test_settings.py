"""Settings: what the environment may say, and what is said about mistakes."""

import os
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from worker.core.errors import ConfigError
from worker.settings import Settings, load_settings, variables

PLANTED = "hunter2-planted"


def refusal(**environment: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(environment)
    return [str(problem) for problem in caught.value.problems]


def test_an_empty_environment_gives_the_documented_defaults():
    settings = load_settings({})
    assert settings.amqp_url.get_secret_value() == "amqp://guest:guest@localhost:5672/"
    assert (settings.routes, settings.secrets) == (Path("routes"), Path("/run/secrets"))
    assert (settings.log_level, settings.log_format, settings.shutdown_grace) == ("info", None, 25.0)
    assert (settings.admin_host, settings.admin_port, settings.budget_share) == ("127.0.0.1", 8080, 1.0)
    assert (settings.public_host, settings.public_port) == ("127.0.0.1", 8081)
    assert (settings.heartbeat, settings.turn) == (10, 300.0)
    assert settings.instance


def test_every_setting_can_be_set():
    given_values = {
        "WORKER_AMQP_URL": "amqps://u:p@broker:5671/v",
        "WORKER_ROUTES": "/etc/routes",
        "WORKER_SECRETS": "/etc/secrets",
        "WORKER_ON_BROKEN_ROUTES": "Skip",
        "WORKER_RELOAD": "signal",
        "WORKER_LOG_LEVEL": "DEBUG",
        "WORKER_LOG_FORMAT": "json",
        "WORKER_SHUTDOWN_GRACE": "1m",
        "WORKER_ADMIN_HOST": "0.0.0.0",
        "WORKER_ADMIN_PORT": "0",
        "WORKER_ADMIN_TOKEN": "0123456789abcdef",
        "WORKER_ADMIN_HOSTS": "Worker.example.com, ops",
        "WORKER_PUBLIC_HOST": "::",
        "WORKER_PUBLIC_PORT": "8443",
        "WORKER_PUBLIC_PROXIES": "10.0.0.5, fd00::/8",
        "WORKER_PUBLIC_PEER_CONNECTIONS": "8",
        "WORKER_BUDGET_SHARE": "0.5",
        "WORKER_INSTANCE": "a",
        "WORKER_HEARTBEAT": "5s",
        "WORKER_EXPRESSION_MEMORY": "256",
        "WORKER_TURN": "90",
        "WORKER_MAX_MESSAGE": "32 mib",
        "WORKER_IN_FLIGHT": "100000000",
        "WORKER_TRACE": "off",
        "WORKER_MANAGEMENT_URL": "http://u:p@broker:15672",
    }
    assert set(given_values) | {"WORKER_AMQP_URL_FILE", "WORKER_ADMIN_TOKEN_FILE"} == set(variables())
    settings = load_settings(given_values)
    assert settings == Settings(
        amqp_url="amqps://u:p@broker:5671/v",
        routes="/etc/routes",
        secrets="/etc/secrets",
        on_broken_routes="skip",
        reload="signal",
        log_level="debug",
        log_format="json",
        shutdown_grace=60.0,
        admin_host="0.0.0.0",
        admin_port=0,
        admin_token=SecretStr("0123456789abcdef"),
        admin_hosts=("worker.example.com", "ops"),
        public_host="::",
        public_proxies=(ip_network("10.0.0.5/32"), ip_network("fd00::/8")),
        public_peer_connections=8,
        public_port=8443,
        budget_share=0.5,
        instance="a",
        heartbeat=5,
        expression_memory=256,
        turn=90.0,
        max_message=32 * 1024 * 1024,
        in_flight=100_000_000,
        trace=False,
        management_url="http://u:p@broker:15672",
    )


@pytest.mark.parametrize(("given_size", "said"), [
    ("16MB", "'16MB' is not a size: write a number of bytes, or one with KiB, MiB or GiB such as 16MiB"),
    ("-1", "'-1' is not a size: write a number of bytes, or one with KiB, MiB or GiB such as 16MiB"),
    ("1KiB", "'1KiB' is not valid: input should be greater than or equal to 65536"),
    ("1GiB", "'1GiB' is not valid: input should be less than or equal to 134217728"),
])  # fmt: skip
def test_a_size_that_cannot_be_used_is_refused_with_the_valid_ones(given_size, said):
    assert refusal(WORKER_MAX_MESSAGE=given_size) == [f"WORKER_MAX_MESSAGE: {said}"]


def test_an_empty_variable_counts_as_not_set():
    assert load_settings({"WORKER_AMQP_URL": "", "WORKER_ADMIN_PORT": " "}) == load_settings({})


@pytest.mark.parametrize("url", ["amqp://h", "amqp://u:p@h:5672/%2F", "amqps://u:p@h/v?heartbeat=5", "memory://", " amqp://h\n"])
def test_addresses_of_brokers_are_taken(url):
    assert load_settings({"WORKER_AMQP_URL": url}).amqp_url.get_secret_value() == url.strip()


@pytest.mark.parametrize("url", ["localhost:5672", "http://u:P@h", "amqp://", "amqp:///v", f"amqp://u:{PLANTED}@h:port/"])
def test_what_is_no_address_of_a_broker_is_refused_without_being_quoted(url):
    (problem,) = refusal(WORKER_AMQP_URL=url)
    assert problem.startswith("WORKER_AMQP_URL: it is not an address of a broker; valid are amqp://user:password@host:5672/vhost,")
    assert PLANTED not in problem


UNENCODED = [
    "p@{}/word@host",
    "{}/word@host",
    "12/{}@host",
    "{}#x@host",
    "#{}@host/v",
    "12?{}@host",
    "p@{}@host",
    "a%{}@host",
    "{} x@host",
    "{}@host/v@x",
    "{}@host:12/a@{}",
]


@pytest.mark.parametrize("scheme", ["amqp", "amqps", "AMQP"])
@pytest.mark.parametrize("rest", UNENCODED)
def test_a_password_that_is_not_encoded_is_told_so_and_no_part_of_it_is_quoted(tmp_path, scheme, rest):
    url = f"{scheme}://user:{rest.format('zz' + PLANTED, PLANTED)}"
    file = tmp_path / "url"
    file.write_text(url)
    for environment in ({"WORKER_AMQP_URL": url}, {"WORKER_AMQP_URL_FILE": str(file)}):
        (problem,) = refusal(**environment)
        assert problem.startswith("WORKER_AMQP_URL: its user name or password is not percent-encoded: ")
        assert "word@" not in problem
        assert PLANTED not in problem


def test_an_address_s_file_that_is_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "url")
    assert refusal(WORKER_AMQP_URL_FILE=str(tmp_path / "url")) == [
        f"WORKER_AMQP_URL_FILE: the file '{tmp_path / 'url'}' is not a file but a pipe, a device or a socket"
    ]


def test_the_password_of_the_broker_prints_nowhere():
    settings = load_settings({"WORKER_AMQP_URL": f"amqp://u:{PLANTED}@h/"})
    assert PLANTED not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


def test_the_address_may_stand_in_a_file(tmp_path):
    file = tmp_path / "url"
    file.write_text("amqp://u:p@h/\n")
    assert load_settings({"WORKER_AMQP_URL_FILE": str(file)}).amqp_url.get_secret_value() == "amqp://u:p@h/"


def test_a_wrong_address_in_a_file_is_not_quoted(tmp_path):
    file = tmp_path / "url"
    file.write_text(PLANTED)
    (problem,) = refusal(WORKER_AMQP_URL_FILE=str(file))
    assert PLANTED not in problem


def test_the_address_and_its_file_exclude_each_other():
    assert refusal(WORKER_AMQP_URL="amqp://h", WORKER_AMQP_URL_FILE="f") == ["WORKER_AMQP_URL_FILE: WORKER_AMQP_URL is set as well; keep one of the two"]


def test_a_missing_file_is_named():
    assert refusal(WORKER_AMQP_URL_FILE="/absent/url") == ["WORKER_AMQP_URL_FILE: the file '/absent/url' cannot be read: No such file or directory"]


def test_all_mistakes_are_told_at_once_each_by_its_variable():
    assert refusal(
        WORKER_LOG_LEVEL="loud",
        WORKER_LOG_LEVL="debug",
        WORKER_COLOUR="red",
        WORKER_TURN="2 minutes",
        WORKER_SHUTDOWN_GRACE="2h",
        WORKER_HEARTBEAT="500ms",
        WORKER_ADMIN_PORT="99999",
        WORKER_BUDGET_SHARE="0",
        WORKER_LOG_FORMAT="xml",
    ) == [
        "WORKER_ADMIN_PORT: '99999' is not valid: input should be less than or equal to 65535",
        "WORKER_BUDGET_SHARE: '0' is not valid: input should be greater than 0",
        f"WORKER_COLOUR: there is no such setting; valid are {', '.join(sorted(variables()))}",
        "WORKER_HEARTBEAT: '500ms' is not valid: input should be a valid integer, got a number with a fractional part",
        "WORKER_LOG_FORMAT: 'xml' is not valid: input should be 'json' or 'console'",
        "WORKER_LOG_LEVEL: 'loud' is not valid: input should be 'debug', 'info', 'warning' or 'error'",
        "WORKER_LOG_LEVL: there is no such setting; did you mean WORKER_LOG_LEVEL?",
        "WORKER_SHUTDOWN_GRACE: '2h' is not valid: input should be less than or equal to 3600",
        "WORKER_TURN: '2 minutes' is not a duration: write a whole number and a unit, such as 500ms, 30s, 5m, 2h or 1d, or a number of seconds",
    ]


@pytest.mark.parametrize("name", ["WORKER_TEST_AMQP_URL", "WORKER_SERVICE_HOST", "WORKER_SERVICE_PORT_HTTP", "WORKER_PORT", "WORKER_PORT_8080_TCP_ADDR"])
def test_variables_of_tests_and_those_that_kubernetes_sets_for_a_service_are_not_ours(name):
    assert load_settings({name: "tcp://10.0.0.1:8080"}) == load_settings({})


@given(st.sampled_from(sorted(variables())), st.text(max_size=30))
def test_no_value_makes_anything_but_settings_or_a_sentence_about_it(name, value):
    try:
        load_settings({name: value})
    except ConfigError as error:
        blamed = {problem.file for problem in error.problems}
    else:
        blamed = set()
    assert blamed <= {name, "WORKER_AMQP_URL"}


@pytest.mark.parametrize("token", ["tiny-one", "fifteen-letters", "ünreadable-in-a-header"])
def test_a_token_that_can_be_guessed_is_refused_without_being_quoted(token):
    with pytest.raises(ConfigError) as wrong:
        load_settings({"WORKER_ADMIN_TOKEN": token})
    (problem,) = wrong.value.problems
    assert problem.file == "WORKER_ADMIN_TOKEN"
    assert "shorter than 16 characters" in problem.message
    assert token not in str(problem)


def test_the_token_comes_from_a_file_too_and_from_one_place_only(tmp_path):
    file = tmp_path / "token"
    file.write_text("0123456789abcdef\n")
    settings = load_settings({"WORKER_ADMIN_TOKEN_FILE": str(file)})
    assert settings.admin_token is not None
    assert settings.admin_token.get_secret_value() == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(settings)
    with pytest.raises(ConfigError, match="keep one of the two"):
        load_settings({"WORKER_ADMIN_TOKEN_FILE": str(file), "WORKER_ADMIN_TOKEN": "0123456789abcdef"})


@pytest.mark.parametrize("hosts", ["http://worker", "worker:8080", "a b", "*"])
def test_hosts_of_the_page_are_names_and_nothing_else(hosts):
    with pytest.raises(ConfigError, match="is not the name of a host"):
        load_settings({"WORKER_ADMIN_HOSTS": hosts})
