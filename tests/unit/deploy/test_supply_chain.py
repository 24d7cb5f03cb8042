"""Where everything comes from that is installed, built or run: what is locked, what is pinned, what is not yet, and who renews it."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.unit.deploy.manifests import TOP

DEPENDABOT = YAML(typ="safe").load((TOP / ".github" / "dependabot.yml").read_text("utf-8"))
MAKEFILE = (TOP / "Makefile").read_text("utf-8")
RENEWING = YAML(typ="safe").load((TOP / ".github" / "workflows" / "locks.yaml").read_text("utf-8"))
LOCKS = sorted(path.name for path in TOP.glob("requirements*.lock"))
FILES = ("docker/Dockerfile", "docker/compose.yaml")
DIGEST = re.compile(r"[^@\s]+:[^@\s]+@sha256:[0-9a-f]{64}")
NOT_YET = {
    "python:3.13-slim-trixie": "written where no registry could be asked for its digest; `make pin` does it, and a release is refused before that",
    "rabbitmq:4-management": "as above; for trying only: a production broker is the user's own",
    "prom/prometheus:v3.5.0": "as above; only with the profile `monitoring`",
    "grafana/grafana:12.1.1": "as above; only with the profile `monitoring`",
}


def references(folder: Path) -> list[str]:
    """All images of others that the Dockerfile and the compose file name."""
    dockerfile, compose = (YAML(typ="safe").load(text) if name.endswith("yaml") else text for name in FILES for text in [(folder / name).read_text("utf-8")])
    stages = {"base", "build"}
    built = [found for found in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) if found not in stages and not found.startswith("$")]
    images = [service["image"] for service in compose["services"].values() if "build" not in service]
    return built + [re.fullmatch(r"\$\{[A-Z]+_IMAGE:-(.+)\}", image)[1] for image in images]


def test_every_image_is_named_by_digest_or_stands_in_the_list_of_those_that_are_not_yet_with_a_reason():
    unpinned = [name for name in references(TOP) if not DIGEST.fullmatch(name)]
    assert sorted(unpinned) == sorted(NOT_YET), "pinned ones leave the list, new ones are pinned"
    assert all(NOT_YET.values())


def test_no_image_is_named_latest():
    assert [name for name in references(TOP) if ":" not in name or name.partition("@")[0].endswith(":latest")] == []


@pytest.fixture
def copy(tmp_path):
    """The files that name images, the script, and a registry that tells a digest for each."""
    (tmp_path / "docker").mkdir()
    for name in (*FILES, "docker/pin.sh"):
        (tmp_path / name).write_bytes((TOP / name).read_bytes())
    (tmp_path / "docker/pin.sh").chmod(0o755)
    (tmp_path / "bin").mkdir()
    return tmp_path


def pin(folder: Path, *arguments: str, registry: str = 'sha256:$(printf %s "$4" | sha256sum | cut -c1-64)') -> subprocess.CompletedProcess[str]:
    docker = folder / "bin" / "docker"
    docker.write_text(f'#!/bin/sh\ntest "$1 $2 $3" = "buildx imagetools inspect" || exit 9\necho "{registry}"\n')
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    environment = {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    return subprocess.run([folder / "docker/pin.sh", *arguments], env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_pinning_writes_the_digest_that_the_registry_tells_behind_each_tag_and_changes_nothing_else(copy):
    before = {name: (copy / name).read_text() for name in FILES}
    tags = [name.partition("@")[0] for name in references(TOP)]
    done = pin(copy)
    assert (done.returncode, done.stderr) == (0, "")
    pinned = references(copy)
    assert [name.partition("@")[0] for name in pinned] == tags
    assert [name for name in pinned if not DIGEST.fullmatch(name)] == []
    assert len(set(pinned)) == len(tags), "each its own"
    bare = {name: re.sub(r"@sha256:[0-9a-f]{64}", "", (copy / name).read_text()) for name in FILES}
    assert bare == {name: re.sub(r"@sha256:[0-9a-f]{64}", "", text) for name, text in before.items()}
    assert pin(copy, "--check").returncode == 0
    other = pin(copy, registry="sha256:" + "b" * 64)
    assert other.returncode == 0
    assert {name.partition("@")[2] for name in references(copy)} == {"sha256:" + "b" * 64}, "a digest is replaced, not added"


@pytest.mark.parametrize("registry", ["", "sha256:beef", "no such image"])
def test_what_is_no_digest_is_not_written(copy, registry):
    before = {name: (copy / name).read_text() for name in FILES}
    done = pin(copy, registry=registry)
    assert done.returncode != 0
    assert "python:3.13-slim-trixie" in done.stderr
    assert {name: (copy / name).read_text() for name in FILES} == before


def test_a_tag_without_digest_fails_the_check_which_names_it(copy):
    assert pin(copy).returncode == 0
    compose = copy / "docker/compose.yaml"
    compose.write_text(re.sub(r"(rabbitmq:4-management)@sha256:[0-9a-f]{64}", r"\1", compose.read_text()))
    done = pin(copy, "--check")
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == ["rabbitmq:4-management"]


def test_a_release_is_not_made_of_images_without_a_digest():
    release = YAML(typ="safe").load((TOP / ".github" / "workflows" / "release.yaml").read_text("utf-8"))
    assert any(step.get("run", "").startswith("make pinned ") for step in release["jobs"]["version"]["steps"])
    assert "version" in release["jobs"]["image"]["needs"]


def test_every_lock_file_carries_hashes_is_made_by_make_lock_and_is_audited():
    assert LOCKS == ["requirements-audit.lock", "requirements-build.lock", "requirements-dev.lock", "requirements.lock"]
    made = set(re.findall(r"--output-file (\S+)", MAKEFILE))
    assert made == set(LOCKS)
    audited = re.search(r"\.ci/audit\.py .*\$\(sort \$\(wildcard (\S+)\)\)\)", MAKEFILE)[1]
    assert {path.name for path in TOP.glob(audited)} == set(LOCKS)
    for name in LOCKS:
        pins = re.findall(r"^[\w.\[\]-]+==.*?(?=^\S|\Z)", (TOP / name).read_text("utf-8"), re.MULTILINE | re.DOTALL)
        assert pins
        assert [entry.split()[0] for entry in pins if "--hash=sha256:" not in entry] == []


def test_what_is_locked_is_renewed_every_week_after_a_week():
    (at,) = RENEWING["on"]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", at["cron"])
    steps = RENEWING["jobs"]["renew"]["steps"]
    (renewing,) = [step for step in steps if "make lock" in step.get("run", "")]
    assert renewing["env"]["UV_EXCLUDE_NEWER"] == "7 days"
    assert "make pin " in renewing["run"]


def covered(ecosystem: str) -> set[str]:
    entries = [entry for entry in DEPENDABOT["updates"] if entry["package-ecosystem"] == ecosystem]
    return {folder for entry in entries for folder in (entry.get("directories") or [entry["directory"]])}


def tracked(pattern: str) -> set[str]:
    """The folders of the repository that hold such a file, as Dependabot writes them."""
    hidden = {".venv", ".venv-audit", ".git", ".cache"}
    found = [path.relative_to(TOP) for path in TOP.rglob(pattern) if not hidden & set(path.relative_to(TOP).parts)]
    return {f"/{path.parent}".replace("/.", "/") for path in found}


def test_dependabot_watches_every_dockerfile_compose_file_action_and_project():
    assert tracked("*ockerfile*") == {"/docker"} == covered("docker")
    assert tracked("*compose*.yaml") == covered("docker-compose")
    assert tracked("pyproject.toml") == covered("pip") == {"/"}
    assert covered("github-actions") == {"/"}


@pytest.mark.parametrize("entry", DEPENDABOT["updates"], ids=lambda entry: entry["package-ecosystem"])
def test_dependabot_asks_once_a_week_for_everything_together_and_for_nothing_brand_new(entry):
    assert entry["schedule"] == {"interval": "weekly"}
    assert entry["cooldown"]["default-days"] >= 7
    (group,) = entry["groups"].values()
    assert group == {"patterns": ["*"]}


def test_dependabot_finds_the_base_image_in_a_line_that_it_can_read():
    """It does not follow an ARG into a FROM."""
    lines = re.findall(r"^FROM .*$", (TOP / "docker/Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert re.fullmatch(r"FROM python:[\w.-]+(@sha256:[0-9a-f]{64})? AS base", lines[0])
    assert lines[1:] == ["FROM ${PYTHON_IMAGE} AS build", "FROM ${PYTHON_IMAGE}"]
    assert "ARG PYTHON_IMAGE=base\n" in (TOP / "docker/Dockerfile").read_text("utf-8")


def flaw(number: str, *aliases: str, fixed: tuple[str, ...] = ("2",)) -> dict:
    return {"id": number, "aliases": list(aliases), "fix_versions": list(fixed), "description": "text"}


def package(name: str, *flaws: dict) -> dict:
    return {"name": name, "version": "1", "vulns": list(flaws)}


def skipped(name: str) -> dict:
    return {"name": name, "skip_reason": f"Dependency not found: {name}"}


@pytest.fixture
def audit(tmp_path):
    """Runs the audit beside a pip-audit that gives these answers: by service a list of packages, or what it writes when it fails."""
    (tmp_path / "requirements.lock").write_text("")

    def run(*arguments, accepted="", **answers):
        (tmp_path / "audit-accepted.toml").write_text(accepted)
        command = tmp_path / "pip-audit"
        command.write_text(
            f"#!{sys.executable}\nimport json, sys\nanswer = {answers!r}.get(sys.argv[2], 'requests.exceptions.ConnectionError: no route')\n"
            "if isinstance(answer, str): sys.exit(answer)\n"
            "print(json.dumps({'dependencies': answer, 'fixes': []}))\nsys.exit(any(each.get('vulns') for each in answer))\n"
        )
        command.chmod(0o755)
        words = [sys.executable, TOP / ".ci" / "audit.py", *arguments, "--pip-audit", command, "requirements.lock"]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        return done.returncode, done.stdout, done.stderr

    return run


ENTRY = '[[accepted]]\nid = "{id}"\npackage = "{package}"\nreason = "not called here"\nuntil = {until}\n'


def entry(identity: str = "CVE-1", package_name: str = "b", until: str = "2999-01-01") -> str:
    return ENTRY.format(id=identity, package=package_name, until=until)


def test_packages_without_known_vulnerabilities_pass(audit):
    assert audit(pypi=[package("a"), package("b")]) == (0, "audit: 2 packages, no known vulnerability\n", "")


def test_a_known_vulnerability_fails_and_says_what_to_do(audit):
    code, _, told = audit(pypi=[package("a"), package("b", flaw("PYSEC-1", "CVE-1"))])
    assert code == 1
    assert "not accepted: b 1: PYSEC-1, CVE-1 (fixed in 2: run `make lock`)" in told
    assert "audit-accepted.toml with a reason and a date" in told


def test_an_accepted_one_passes_under_any_of_its_names_until_its_day(audit):
    found = [package("b", flaw("PYSEC-1", "CVE-1"))]
    assert audit(pypi=found, accepted=entry())[0] == 0
    assert audit(pypi=found, accepted=entry("PYSEC-1"))[0] == 0
    assert "until 2020-01-01: look again" in audit(pypi=found, accepted=entry(until="2020-01-01"))[2]
    assert audit(pypi=found, accepted=entry(package_name="a"))[0] == 1


def test_an_acceptance_of_what_is_gone_fails(audit):
    code, _, told = audit(pypi=[package("b")], accepted=entry())
    assert code == 1
    assert "accepts CVE-1 of b, which is not there any more" in told


@pytest.mark.parametrize("broken", ["[[accepted]]\nid = 'CVE-1'\n", "accepted = [", entry().replace("not called here", " "), entry(until="'2999'")])
def test_an_acceptance_without_a_reason_or_a_day_is_refused(audit, broken):
    code, _, told = audit(pypi=[package("b")], accepted=broken)
    assert code == 2
    assert "audit-accepted.toml" in told


@pytest.mark.parametrize("answers", [{}, {"pypi": [skipped("a"), skipped("b")]}], ids=["none can be reached", "one knows nothing"])
def test_where_no_service_answers_it_says_so_loudly_and_fails_only_where_it_must_not_pass(audit, answers):
    code, out, told = audit(**answers)
    assert (code, out) == (0, "")
    assert told.startswith("audit: NOT DONE. ")
    assert audit("--must", **answers)[0] == 1


def test_the_second_service_is_asked_when_the_first_cannot_tell(audit):
    assert audit(pypi=[skipped("b")], osv=[package("b", flaw("CVE-1"))])[0] == 1
    assert audit("--must", pypi=[skipped("b")], osv=[package("b")])[0] == 0


def test_a_package_that_could_not_be_looked_up_among_others_fails(audit):
    code, _, told = audit(pypi=[package("a"), skipped("b")])
    assert code == 1
    assert "could not be looked up: b" in told


def test_an_audit_that_fails_for_another_reason_is_no_good_audit(audit):
    code, _, told = audit(pypi="package packaging has duplicate requirements")
    assert code == 2
    assert "duplicate requirements" in told
