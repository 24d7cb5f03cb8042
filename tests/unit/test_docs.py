"""The documents lead somewhere, name only what is there, and name all of it."""

import re
from functools import cache

import pytest
from ruamel.yaml import YAML

from docs.generator.log_calls import log_calls
from tests.tools.documents import DOCUMENTS, PAGES, TOP, anchors, code, links, spans, text_of
from tests.tools.every import every
from worker import __version__
from worker.cli.main import app
from worker.cli.permissions import print_permissions
from worker.config.loader import load_routes
from worker.metrics import Metrics
from worker.settings import FOREIGN, load_settings, variables

README_LIMIT = 8000
MAKEFILE = text_of("Makefile")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
METRICS = {metric.name for metric in Metrics().registry.collect()}
COMMANDS = {command.name or command.callback.__name__ for command in app.registered_commands} | {group.name for group in app.registered_groups}
FILE = re.compile(r"(?:tests|docker|worker|docs|\.ci|\.github)/[\w./-]*\w/?")


@cache
def events():
    """Of the log, read from all modules: when it is asked for, since every process of the tests loads this one."""
    return set(log_calls(TOP / "worker"))


def test_the_readme_can_be_read_in_one_go():
    assert len(text_of("README.md")) <= README_LIMIT


def test_the_readme_leads_to_every_page():
    led = {target.partition("#")[0] for target in links("README.md")}
    assert {page for page in PAGES if page != "docs/index.md"} <= led


def test_the_site_has_every_page_in_its_navigation():
    def pages(part):
        return [part] if isinstance(part, str) else [page for each in (part.values() if isinstance(part, dict) else part) for page in pages(each)]

    assert sorted(f"docs/{page}" for page in pages(YAML(typ="safe").load(text_of("mkdocs.yml"))["nav"])) == PAGES


@every("document", [*DOCUMENTS, "CHANGELOG.md", "routes/README.md", "docker/kubernetes/README.md"])
def test_every_link_leads_to_a_file_and_a_heading_that_exist(document):
    for target in links(document):
        file, _, heading = target.partition("#")
        path = (TOP / document).parent / file if file else TOP / document
        assert path.exists(), target
        assert not heading or heading in anchors(path), target


@every("page", PAGES)
def test_a_page_of_the_site_links_only_to_pages_of_the_site(page):
    outside = [target for target in links(page) if not (TOP / page).parent.joinpath(target.partition("#")[0]).resolve().is_relative_to(TOP / "docs")]
    assert outside == []


@every("document", DOCUMENTS)
def test_every_file_that_a_document_names_exists(document):
    named = {found[0] for span in spans(document) if (found := FILE.match(span)) and "*" not in span and "<" not in span}
    assert [name for name in sorted(named) if not (TOP / name).exists()] == []


@every("document", [*DOCUMENTS, ".ci/run"])
def test_every_make_target_and_variable_that_a_document_shows_exists(document):
    shown = text_of(document) if document == ".ci/run" else code(document)
    assert set(re.findall(r"\bmake ([a-z-]+)", shown)) <= TARGETS
    given = {name for line in re.findall(r"\bmake [a-z-]+((?: [A-Z_]+=\S*)+)", shown) for name in re.findall(r"([A-Z_]+)=", line)}
    assert [name for name in given if f"$({name})" not in MAKEFILE] == []


@every("document", DOCUMENTS)
def test_every_setting_metric_and_log_event_that_a_document_names_exists(document):
    settings = set(re.findall(r"\bWORKER_[A-Z_]+[A-Z]\b", text_of(document)))
    assert {name for name in settings if not FOREIGN.fullmatch(name)} <= set(variables()) | {"WORKER_IMAGE"}
    metrics = {name.removesuffix("_total") for name in re.findall(r"\bhalo_worker_\w+", text_of(document))}
    assert metrics <= METRICS
    nouns = {event.partition(".")[0] for event in events()} - {"request"}  # also a key of route files
    named = {span for span in spans(document) if re.fullmatch(r"[a-z]+\.[a-z_]+", span) and span.partition(".")[0] in nouns}
    assert named <= events()


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("docs/reference/settings.md", variables),
        ("docs/reference/commands.md", lambda: COMMANDS),
        ("docs/reference/metrics.md", lambda: METRICS),
        ("docs/reference/log-events.md", events),
    ],
)
def test_the_reference_names_all_of_them(page, names):
    assert [name for name in names() if not re.search(rf"\b{re.escape(name)}(_total)?\b", text_of(page))] == []


@every(("name", "default"), re.findall(r"^\| `(WORKER_[A-Z_]+)` \| `([^`]+)` \|", text_of("docs/reference/settings.md"), re.MULTILINE))
def test_the_reference_shows_the_defaults_as_people_may_write_them(name, default):
    assert load_settings({name: default}) == load_settings({})


def test_each_guarantee_names_the_tests_that_hold_it():
    sections = re.split(r"^## ", text_of("docs/guarantees.md"), flags=re.MULTILINE)[1:]
    assert len(sections) == 11
    assert [section.partition("\n")[0] for section in sections if not re.search(r"\*\*Held by\*\* `tests/", section)] == []


def test_the_permissions_that_the_security_page_shows_are_those_of_the_sample_routes(capsys):
    """Also each user of the page is there: what is computed and what is written cannot drift apart."""
    names = {"HALO_URL": "https://halo.example", "COMPLETIONS_URL": "https://api.example", "COMPLETIONS_HOST": "api.example"}
    secrets = dict.fromkeys(("HALO_CLIENT_ID", "HALO_CLIENT_SECRET", "COMPLETIONS_KEY"), "a-secret-of-sixteen-characters") | {
        name: f"the-{name}-of-the-tests" for name in ("HOOK_SECRET", "ASK_SECRET")
    }
    routes = load_routes(TOP / "routes", names | secrets, TOP)
    print_permissions(routes, ["billing"], "/", ctl=True, as_json=False)
    printed = [line for line in capsys.readouterr().out.splitlines() if "set_permissions" in line]
    shown = [line for line in text_of("docs/security.md").splitlines() if line.startswith("rabbitmqctl set_permissions")]
    assert [line for line in shown if line not in printed] == []
    roles = {re.split(r"[-\d]", line.split()[4])[0] for line in printed}
    assert {re.split(r"[-\d]", line.split()[4])[0] for line in shown} == roles


def test_the_changelog_has_a_section_for_what_is_here():
    assert re.search(rf"^## \[({re.escape(__version__)}|Unreleased)\]", text_of("CHANGELOG.md"), re.MULTILINE)
