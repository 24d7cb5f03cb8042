"""The examples of the documents work: route files pass `check`, commands take the options that are shown."""

import re
import shlex
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.main import get_command
from typer.testing import CliRunner

from tests.tools.certificates import private_key
from tests.tools.documents import DOCUMENTS, TOP, blocks, commands, saved, spans
from tests.tools.every import every
from worker.cli.main import app
from worker.config.loader import load_routes

ENVIRONMENT = {"HALO_CLIENT_ID": "id", "OPENAI_KEY": "key", "SPAM_KEY": "key", "HOOK_SECRET": "a-secret-of-sixteen", "HOOK_SECRET_NEW": "another-of-sixteen"}
ENVIRONMENT |= dict.fromkeys(("DIRECTORY_TOKEN", "APPS_TOKEN", "VENDOR_KEY", "CMDB_TOKEN"), "a-token")
ENVIRONMENT["ERP_PASSWORD"] = "a-password-of-the-tests"
ENVIRONMENT["VENDOR_TOKEN"] = "a-token-of-the-tests"
key = cache(private_key)
SAMPLES = dict.fromkeys(("HALO_URL", "COMPLETIONS_URL"), "https://example.com") | {
    name: f"the-{name}-of-the-tests" for name in ("HALO_CLIENT_ID", "HALO_CLIENT_SECRET", "COMPLETIONS_KEY", "HOOK_SECRET", "ASK_SECRET")
}
SAMPLES["COMPLETIONS_HOST"] = "example.com"
ALONE = {"check", "entities", "actions", "schema", "permissions", "version"}
TUTORIAL = "docs/tutorial.md"  # its route files are parts of a project, which `tests/end/test_tutorial.py` checks
ROUTES = [(document, block) for document in DOCUMENTS if document != TUTORIAL for block in blocks(document, "yaml")]
LINES = [(document, line) for document in DOCUMENTS for line in commands(document)]
SHOWN = [(document, span) for document in DOCUMENTS for span in spans(document) if span.startswith("halo-worker ")]


def given_to_worker(line):
    """What a line gives to `halo-worker`, without what the shell takes for itself; nothing when it runs another program."""
    words = [word for word in shlex.split(line, comments=True) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    words = words[1:] if words[:1] == ["halo-worker"] else []
    return words[: words.index(">")] if ">" in words else words


@pytest.mark.parametrize(("document", "block"), ROUTES, ids=[f"{document}-{number}" for number, (document, _) in enumerate(ROUTES)])
def test_every_route_file_that_is_shown_passes_the_check(document, block, tmp_path: Path):
    (tmp_path / "shown.yaml").write_text(block, "utf-8")
    for name, text in saved(document).items():
        if name.endswith(".csv"):
            (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "halo_secret").write_text("secret", "utf-8")
    (tmp_path / "erp_key.pem").write_text(key(), "utf-8")
    (tmp_path / "rmm").mkdir()
    for customer in ("acme", "globex"):
        (tmp_path / "rmm" / customer).write_text(f"a-secret-of-{customer}", "utf-8")
    routes = load_routes(tmp_path, ENVIRONMENT, tmp_path)
    assert routes.clients or routes.integrations
    assert [str(warning) for warning in routes.warnings] == []


def test_there_are_route_files_for_every_kind_of_route():
    shown = "\n".join(block for _, block in ROUTES)
    assert [kind for kind in ("clients", "subscribers", "publishers", "integrations", "runbooks", "webhooks") if f"{kind}:" not in shown] == []


tree = cache(lambda: get_command(app))


def command_of(words):
    """The command that the words name, and what they give it."""
    command, rest = tree(), list(words)
    while inner := getattr(command, "commands", None):
        assert rest, f"which of {', '.join(inner)}?"
        assert rest[0] in inner, f"there is no command {rest[0]}"
        command = inner[rest.pop(0)]
    return command, rest


@every(("document", "line"), [(document, line) for document, line in LINES if given_to_worker(line)])
def test_every_command_line_that_is_shown_can_be_typed(document, line):
    command, rest = command_of(given_to_worker(line))
    command.make_context(command.name, rest)


@pytest.mark.parametrize(
    "words", sorted({tuple(words) for _, line in LINES if (words := given_to_worker(line)) and (words[0] in ALONE or words[:2] == ["runbook", "show"])})
)
def test_every_command_that_connects_to_nothing_does_what_is_shown(words, monkeypatch):
    """With the sample routes, whose names the documents use."""
    monkeypatch.chdir(TOP)
    done = CliRunner().invoke(app, list(words), env=SAMPLES)
    assert done.exit_code == 0, done.output
    assert done.stdout


@every(("document", "span"), SHOWN)
def test_every_command_that_is_named_has_the_options_that_are_shown(document, span):
    words = span.split()[1:]
    command = tree()
    while words and (inner := getattr(command, "commands", None)):
        name = words.pop(0)
        if "|" in name or name.isupper():
            return
        assert name in inner
        command = inner[name]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@every(("document", "line"), [(document, line) for document, line in LINES if line.startswith("docker compose")])
def test_every_compose_command_names_a_file_and_profiles_that_exist(document, line):
    words = shlex.split(line, comments=True)
    file = TOP / words[words.index("-f") + 1]
    services = YAML(typ="safe").load(file.read_text("utf-8"))["services"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", [])}
    assert {after for word, after in pairwise(words) if word == "--profile"} <= profiles


@every(("document", "line"), LINES)
def test_every_program_that_a_command_line_begins_with_is_one_that_readers_have(document, line):
    words = [word for word in shlex.split(line, comments=True) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    assert words[0] in {"make", "halo-worker", "docker", "curl", "kubectl", "rabbitmqctl", ".venv/bin/python", "cd", "cp", "echo", "python3", ".", "pip"}
    assert [folder for word, folder in pairwise(words) if word == "-k" and not (TOP / folder).exists()] == []
