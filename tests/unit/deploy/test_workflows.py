"""The workflows of the public CI name what exists, run what is pinned, and may do no more than they need."""

import re
from itertools import pairwise

import pytest
from ruamel.yaml import YAML

from tests.tools.every import every
from tests.unit.deploy.manifests import BASE, TOP, kustomization
from worker import __version__

FILES = sorted((TOP / ".github" / "workflows").glob("*.yaml"))
TEXTS = {path.name: path.read_text("utf-8") for path in FILES}
WORKFLOWS = {name: YAML(typ="safe").load(text) for name, text in TEXTS.items()}
CI, RELEASE = WORKFLOWS["ci.yaml"], WORKFLOWS["release.yaml"]
STEPS = [(f"{name} {job}", step) for name, flow in WORKFLOWS.items() for job, content in flow["jobs"].items() for step in content.get("steps", ())]
COMMANDS = "\n".join(step["run"] for _, step in STEPS if "run" in step)
PROJECT = (TOP / "pyproject.toml").read_text("utf-8")
MAY_WRITE = {
    ("release.yaml", "image"): {"contents": "read", "packages": "write", "id-token": "write"},
    ("locks.yaml", "renew"): {"contents": "write", "pull-requests": "write"},
}


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text("utf-8"), re.MULTILINE))
    used = set(re.findall(r"^make ([a-z-]+)", COMMANDS, re.MULTILINE))
    assert {"check", "image-test"} <= used
    assert used <= targets


def test_it_is_tried_on_every_python_that_the_project_takes():
    lowest, beyond = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', PROJECT).groups()
    tried = CI["jobs"]["check"]["strategy"]["matrix"]["python"]
    assert tried == [f"3.{minor}" for minor in range(int(lowest), int(beyond))]
    assert all("PYTHON=python" in line for line in COMMANDS.splitlines() if line.startswith("make")), "make would take the newest Python that it finds"


def test_every_file_that_is_named_exists():
    named = set(re.findall(r"(?:--file|--requirement) (\S+)", COMMANDS))
    named |= {step["with"]["file"] for _, step in STEPS if "file" in step.get("with", {})}
    named |= {job["uses"].removeprefix("./") for flow in WORKFLOWS.values() for job in flow["jobs"].values() if "uses" in job}
    named |= set(re.findall(r"\b(?:worker/\S+\.py|CHANGELOG\.md)", COMMANDS))
    assert {"docker/Dockerfile", ".github/workflows/ci.yaml", "worker/__init__.py"} <= named
    assert [name for name in named if not (TOP / name).is_file()] == []


def test_what_is_locked_is_looked_up_for_known_vulnerabilities_and_no_answer_is_no_good_answer():
    audits = [line for line in COMMANDS.splitlines() if line.startswith("make audit ")]
    assert len(audits) == 2, "on every change, and once a week"
    assert all("MUST=1" in line.split() for line in audits)


@pytest.mark.parametrize("name", TEXTS)
def test_every_action_is_pinned_by_commit_with_its_version_beside_it(name):
    lines = [line for line in TEXTS[name].splitlines() if re.search(r"^\s*-? ?uses:", line) and "uses: ./" not in line]
    assert lines
    assert [line for line in lines if not re.fullmatch(r"\s*-? ?uses: [\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_an_action_is_pinned_to_one_version_everywhere():
    pinned = set(re.findall(r"uses: ([\w/-]+)@(\S+ # \S+)", "\n".join(TEXTS.values())))
    assert len({action for action, _ in pinned}) == len(pinned)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_job_may_only_read_except_those_that_publish_or_open_a_pull_request(name):
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    for job, content in WORKFLOWS[name]["jobs"].items():
        assert content.get("permissions") == MAY_WRITE.get((name, job))
    assert all(step["with"]["persist-credentials"] is False for _, step in STEPS if step.get("uses", "").startswith("actions/checkout@"))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_run_ends_by_itself_and_does_not_meet_another(name):
    assert WORKFLOWS[name]["concurrency"]["group"]
    assert [job for job, content in WORKFLOWS[name]["jobs"].items() if "uses" not in content and "timeout-minutes" not in content] == []


@every(("where", "step"), [(where, step) for where, step in STEPS if "run" in step])
def test_a_command_takes_what_others_have_written_from_its_environment_only(where, step):
    """A branch or tag may be named like a command."""
    assert "${{" not in step["run"], where


def test_they_run_when_they_should():
    assert CI["on"] == {"push": {"branches": ["main"]}, "pull_request": None, "workflow_call": None}
    assert RELEASE["on"] == {"push": {"tags": ["v*"]}}


def test_nothing_is_published_before_it_was_tried():
    jobs = RELEASE["jobs"]
    assert jobs["ci"] == {"uses": "./.github/workflows/ci.yaml"}
    assert set(jobs["image"]["needs"]) == {"version", "ci"}
    assert all(set(content.get("needs", ())) <= set(jobs) for content in jobs.values())


def published():
    """The step that builds and publishes, and what it is given."""
    (step,) = [step for _, step in STEPS if step.get("uses", "").startswith("docker/build-push-action@")]
    return step["with"]


def test_the_image_is_made_for_both_architectures_with_what_is_in_it_and_how_it_was_made():
    given = published()
    assert given["platforms"] == "linux/amd64,linux/arm64"
    assert given["sbom"] is True
    assert given["provenance"] == "mode=max"
    assert "push=true" in given["outputs"]


def test_the_image_is_built_with_arguments_that_the_dockerfile_takes():
    taken = set(re.findall(r"^ARG (\w+)", (TOP / "docker" / "Dockerfile").read_text("utf-8"), re.MULTILINE))
    assert {line.partition("=")[0] for line in published()["build-args"].splitlines()} <= taken


def test_the_image_that_is_published_is_the_one_that_kubernetes_runs():
    (image,) = kustomization(BASE)["images"]
    (meta,) = [step["with"] for _, step in STEPS if step.get("uses", "").startswith("docker/metadata-action@")]
    host, _, name = meta["images"].split("/")
    assert (host, name) == (image["newName"].split("/")[0], image["newName"].split("/")[-1])
    assert "type=semver,pattern={{version}}" in meta["tags"]


def test_the_image_is_signed_by_its_digest_after_it_was_tried_and_the_signature_is_verified():
    order = ["docker run", "cosign sign", "cosign verify"]
    text = "\n".join(step.get("run", "") for step in RELEASE["jobs"]["image"]["steps"])
    assert all(text.index(one) < text.index(other) for one, other in pairwise(order))
    assert '@$DIGEST"' in text


def test_the_version_is_found_where_the_release_looks_for_it():
    pattern = re.search(r"sed -n 's/(.*?)/\\1/p' worker/__init__\.py", COMMANDS)[1]
    python = pattern.replace(r"\(", "(").replace(r"\)", ")")
    assert re.search(python, (TOP / "worker" / "__init__.py").read_text("utf-8"), re.MULTILINE)[1] == __version__
