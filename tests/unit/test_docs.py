"""The documentation tells of everything that a user can set, type or watch, and of nothing that is not there."""

import re
from pathlib import Path

import pytest

from worker import __version__
from worker.cli.main import app
from worker.cli.permissions import print_permissions
from worker.config.loader import load_routes
from worker.metrics import Metrics
from worker.settings import FOREIGN, load_settings, variables

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text("utf-8")
SECURITY = (TOP / "docs" / "security.md").read_text("utf-8")
CODE = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", README, re.DOTALL))
MAKEFILE = (TOP / "Makefile").read_text("utf-8")
COMMANDS = sorted([command.name or command.callback.__name__ for command in app.registered_commands] + [group.name for group in app.registered_groups])
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
METRICS = sorted(metric.name for metric in Metrics().registry.collect())


def test_the_readme_names_every_setting():
    assert [name for name in variables() if not re.search(rf"\b{name}\b", README)] == []


def test_the_readme_names_every_command():
    assert [name for name in COMMANDS if not re.search(rf"(`|halo-worker ){name}\b", README)] == []


def test_the_readme_names_every_metric():
    assert [name for name in METRICS if not re.search(rf"\b{name}(_total)?\b", README)] == []


def test_every_setting_that_the_readme_names_exists():
    named = set(re.findall(r"\bWORKER_[A-Z_]+[A-Z]\b", README))
    assert {name for name in named if not FOREIGN.fullmatch(name)} <= set(variables())


def test_every_command_that_the_readme_shows_exists():
    shown = set(re.findall(r"(?:halo-worker|python -m worker) ([a-z]+)", CODE))
    assert shown <= set(COMMANDS)


DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/security.md"]


@pytest.mark.parametrize("document", [*DOCUMENTS, ".ci/run"])
def test_every_make_target_that_the_documents_show_exists(document):
    text = (TOP / document).read_text("utf-8")
    code = text if document == ".ci/run" else "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))
    assert set(re.findall(r"\bmake ([a-z-]+)", code)) <= TARGETS


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md"])
def test_every_file_that_the_documents_link_to_exists(document):
    targets = re.findall(r"\]\(([^)#]+)", (TOP / document).read_text("utf-8"))
    assert [target for target in targets if "://" not in target and not (TOP / document).parent.joinpath(target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_heading_that_the_documents_link_to_exists(document):
    text = (TOP / document).read_text("utf-8")
    headings = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= headings


def test_every_test_and_file_that_the_security_page_names_exists():
    named = set(re.findall(r"`((?:tests|docker|worker)/[^`*]+|[\w-]+\.toml)`", SECURITY))
    assert len(named) > 4
    assert [name for name in named if not (TOP / name).exists()] == []


def test_every_command_and_setting_that_the_security_page_shows_exists():
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", SECURITY, re.DOTALL))
    assert set(re.findall(r"halo-worker ([a-z]+)", code)) <= set(COMMANDS)
    assert set(re.findall(r"\bWORKER_[A-Z_]+[A-Z]\b", SECURITY)) <= set(variables())


def test_the_permissions_that_the_security_page_shows_are_those_of_the_sample_routes(capsys):
    """Also each user of the page is there: what is computed and what is written cannot drift apart."""
    names = {"HALO_URL": "https://halo.example", "COMPLETIONS_URL": "https://api.example", "COMPLETIONS_HOST": "api.example"}
    secrets = dict.fromkeys(("HALO_CLIENT_ID", "HALO_CLIENT_SECRET", "COMPLETIONS_KEY"), "a-secret-of-sixteen-characters") | {
        name: f"the-{name}-of-the-tests" for name in ("HOOK_SECRET", "ASK_SECRET")
    }
    routes = load_routes(TOP / "routes", names | secrets, TOP)
    print_permissions(routes, ["billing"], "/", ctl=True, as_json=False)
    printed = [line for line in capsys.readouterr().out.splitlines() if "set_permissions" in line]
    shown = [line for line in SECURITY.splitlines() if line.startswith("rabbitmqctl set_permissions")]
    assert [line for line in shown if line not in printed] == []
    roles = {re.split(r"[-\d]", line.split()[4])[0] for line in printed}
    assert {re.split(r"[-\d]", line.split()[4])[0] for line in shown} == roles


def test_the_route_files_that_the_readme_shows_are_good(tmp_path: Path):
    for number, block in enumerate(re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)):
        (tmp_path / f"{number}.yaml").write_text(block, "utf-8")
    (tmp_path / "halo_secret").write_text("secret", "utf-8")
    routes = load_routes(tmp_path, {"HALO_CLIENT_ID": "id", "OPENAI_KEY": "key"}, tmp_path)
    assert (set(routes.subscribers), set(routes.publishers), set(routes.runbooks)) == ({"tickets"}, {"assets-from-erp"}, {"ask-chatgpt"})


def test_the_changelog_has_a_section_for_what_is_here():
    assert re.search(rf"^## \[({re.escape(__version__)}|Unreleased)\]", (TOP / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("name", "default"), re.findall(r"^\| `(WORKER_[A-Z_]+)` \| `([^`]+)` \|", README, re.MULTILINE))
def test_the_readme_tells_the_defaults_as_they_are(name, default):
    assert load_settings({name: default}) == load_settings({})
