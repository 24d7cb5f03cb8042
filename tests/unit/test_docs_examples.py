"""The examples of the documents work: route files pass `check`, commands take the options that are shown."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.main import get_command

from tests.tools.documents import DOCUMENTS, TOP, blocks, commands, spans
from worker.cli.main import app
from worker.config.loader import load_routes

ENVIRONMENT = {"HALO_CLIENT_ID": "id", "OPENAI_KEY": "key", "HOOK_SECRET": "a-secret-of-sixteen", "HOOK_SECRET_NEW": "another-of-sixteen"}
ROUTES = [(document, block) for document in DOCUMENTS for block in blocks(document, "yaml")]
LINES = [(document, line) for document in DOCUMENTS for line in commands(document)]
SHOWN = [(document, span) for document in DOCUMENTS for span in spans(document) if span.startswith("halo-worker ")]


@pytest.mark.parametrize(("document", "block"), ROUTES, ids=[f"{document}-{number}" for number, (document, _) in enumerate(ROUTES)])
def test_every_route_file_that_is_shown_passes_the_check(document, block, tmp_path: Path):
    (tmp_path / "shown.yaml").write_text(block, "utf-8")
    (tmp_path / "halo_secret").write_text("secret", "utf-8")
    routes = load_routes(tmp_path, ENVIRONMENT, tmp_path)
    assert routes.clients


def test_there_are_route_files_for_every_kind_of_route():
    shown = "\n".join(block for _, block in ROUTES)
    assert [kind for kind in ("clients", "subscribers", "publishers", "integrations", "runbooks", "webhooks") if f"{kind}:" not in shown] == []


def command_of(words):
    """The command that the words name, and what they give it."""
    command, rest = get_command(app), list(words)
    while inner := getattr(command, "commands", None):
        assert rest, f"which of {', '.join(inner)}?"
        assert rest[0] in inner, f"there is no command {rest[0]}"
        command = inner[rest.pop(0)]
    return command, rest


@pytest.mark.parametrize(("document", "line"), [(document, line) for document, line in LINES if re.search(r"\bhalo-worker [a-z]", line)])
def test_every_command_line_that_is_shown_can_be_typed(document, line):
    words = shlex.split(line, comments=True)
    words = words[words.index("halo-worker") + 1 :]
    command, rest = command_of(words[: words.index(">")] if ">" in words else words)
    command.make_context(command.name, rest)


@pytest.mark.parametrize(("document", "span"), SHOWN)
def test_every_command_that_is_named_has_the_options_that_are_shown(document, span):
    words = span.split()[1:]
    command = get_command(app)
    while words and (inner := getattr(command, "commands", None)):
        name = words.pop(0)
        if "|" in name or name.isupper():
            return
        assert name in inner
        command = inner[name]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize(("document", "line"), [(document, line) for document, line in LINES if line.startswith("docker compose")])
def test_every_compose_command_names_a_file_and_profiles_that_exist(document, line):
    words = shlex.split(line, comments=True)
    file = TOP / words[words.index("-f") + 1]
    services = YAML(typ="safe").load(file.read_text("utf-8"))["services"]
    profiles = {profile for service in services.values() for profile in service.get("profiles", [])}
    assert {after for word, after in pairwise(words) if word == "--profile"} <= profiles


@pytest.mark.parametrize(("document", "line"), LINES)
def test_every_program_that_a_command_line_begins_with_is_one_that_readers_have(document, line):
    words = [word for word in shlex.split(line, comments=True) if not re.fullmatch(r"[A-Z_]+=.*", word)]
    assert words[0] in {"make", "halo-worker", "docker", "curl", "kubectl", "rabbitmqctl", ".venv/bin/python"}
    assert [folder for word, folder in pairwise(words) if word == "-k" and not (TOP / folder).exists()] == []
