"""The command line: exit codes, and sentences instead of tracebacks."""

import asyncio
import signal
import subprocess
import sys
import types

import orjson
import pytest
from aiohttp import ClientSession

from tests.tools.waiting import SOON
from worker import __version__
from worker.cli.main import main
from worker.core.errors import ConfigError, Problem, WorkerError

PLANTED = "Hunter2planted"


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command line in this process; gives exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["halo-worker", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def service(monkeypatch):
    """Puts another service in the place of the real one, so that only the frame around it runs."""

    def replace(run):
        module = types.ModuleType("worker.cli.run")
        module.run = run
        monkeypatch.setitem(sys.modules, "worker.cli.run", module)

    return replace


def raising(error):
    def run(_):
        raise error

    return run


@pytest.mark.parametrize("argument", ["version", "--version"])
def test_the_version_is_printed(command, argument):
    assert command(argument) == (0, f"halo-worker {__version__}\n", "")


def test_python_dash_m_worker_is_the_same_command():
    done = subprocess.run([sys.executable, "-m", "worker", "version"], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == f"halo-worker {__version__}\n"


def test_help_names_every_command_in_plain_text(command):
    code, shown, _ = command("--help")
    assert code == 0
    for name in ("run", "check", "demo", "sandbox", "entities", "schema", "version"):
        assert f"\n  {name} " in shown
    assert "\x1b" not in shown
    assert "╭" not in shown


@pytest.mark.parametrize("arguments", [["vrsion"], ["version", "--colour"], ["check", "a", "b"]])
def test_wrong_usage_ends_with_2(command, arguments):
    code, shown, told = command(*arguments)
    assert (code, shown) == (2, "")
    assert told.startswith("Usage: halo-worker")


def test_a_misspelt_command_is_answered_with_the_nearest_one(command):
    assert "version" in command("vrsion")[2]


@pytest.mark.parametrize("code", [0, 1, 2])
def test_what_a_command_returns_is_the_exit_code(command, service, code):
    service(lambda _: code)
    assert command("run") == (code, "", "")


def test_wrong_configuration_ends_with_2_and_every_problem_on_a_line(command, service):
    long = "x" * 300
    service(raising(ConfigError([Problem("routes/a.yaml", 3, 5, f"no such key [bold]{long}"), Problem("WORKER_TURN", 0, 0, "no")])))
    assert command("run") == (2, "", f"WORKER_TURN: no\nroutes/a.yaml:3:5: no such key [bold]{long}\n")


def test_mistakes_in_settings_end_with_2(command, monkeypatch):
    monkeypatch.setenv("WORKER_LOG_LEVEL", "loud")
    code, _, told = command("check")
    assert (code, told) == (2, "WORKER_LOG_LEVEL: 'loud' is not valid: input should be 'debug', 'info', 'warning' or 'error'\n")


def test_a_failure_that_the_worker_foresees_ends_with_1_and_its_sentence(command, service):
    service(raising(WorkerError("the admin port cannot listen")))
    assert command("run") == (1, "", "halo-worker: the admin port cannot listen\n")


def test_a_failure_that_nobody_foresaw_ends_with_1_and_one_line_without_secrets(command, service):
    service(raising(KeyError(f"amqp://u:{PLANTED}@h/")))
    code, _, told = command("run")
    assert code == 1
    assert told == "halo-worker: unexpected error: KeyError: 'amqp://***@h/' (set WORKER_LOG_LEVEL=debug for the traceback)\n"


def test_of_a_group_of_failures_the_first_that_is_in_it_is_named_without_secrets(command, service):
    first = ExceptionGroup("inner", [KeyError(f"amqp://u:{PLANTED}@h/"), ValueError("second")])
    service(raising(ExceptionGroup("outer", [first, ValueError("third")])))
    code, _, told = command("run")
    assert code == 1
    assert "ExceptionGroup: outer (2 sub-exceptions): ExceptionGroup: inner (2 sub-exceptions): KeyError: 'amqp://***@h/' (set" in told


def test_at_debug_level_the_traceback_is_shown_without_secrets(command, service, monkeypatch):
    monkeypatch.setenv("WORKER_LOG_LEVEL", "debug")
    service(raising(KeyError(f"amqp://u:{PLANTED}@h/")))
    code, _, told = command("run")
    assert code == 1
    assert told.startswith("Traceback")
    assert PLANTED not in told


def test_ctrl_c_ends_without_a_traceback(command, service):
    service(raising(KeyboardInterrupt()))
    code, _, told = command("run")
    assert code == 130
    assert "Traceback" not in told


async def test_the_sandbox_serves_until_it_is_asked_to_stop():
    command = [sys.executable, "-m", "worker", "sandbox", "--port", "0", "--tickets", "5", "--page-cap", "0", "--rate-limit", "0"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(SOON):
        ready = orjson.loads(await process.stdout.readline())
        async with ClientSession() as session, session.get(f"{ready['url']}/api/authinfo") as response:
            assert response.status == 200
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
