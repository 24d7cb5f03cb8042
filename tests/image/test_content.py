"""What is in the image and what is not, who it is, and that it is made the same each time."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from tests.image.engine import ROOT, docker

LIMIT = 120_000_000
BUILD_TOOLS = ("cc", "gcc", "g++", "clang", "ld", "make", "cmake", "cargo", "rustc", "go", "git", "pip", "pip3", "uv", "hatch", "curl", "wget")
LOOK = """
import importlib.metadata, importlib.util, json, os, shutil, sys

def entries():
    for folder, folders, files in os.walk("/venv"):
        for name in [*folders, *files]:
            yield os.path.join(folder, name)

stats = {path: os.lstat(path) for path in entries()}
links = {path for path in stats if os.path.islink(path)}
print(json.dumps({
    "tools": [tool for tool in sys.argv[1:] if shutil.which(tool)],
    "pip": [name for name in ("pip", "ensurepip", "setuptools", "hatchling", "pytest", "tests") if importlib.util.find_spec(name)],
    "distributions": sorted(dist.metadata["Name"].lower() for dist in importlib.metadata.distributions(path=[p for p in sys.path if p.startswith("/venv")])),
    "foreign": [path for path, stat in stats.items() if (stat.st_uid, stat.st_gid) != (0, 0)],
    "writable": [path for path, stat in stats.items() if path not in links and (stat.st_mode & 0o022 or os.access(path, os.W_OK))],
    "privileged": [path for path, stat in stats.items() if stat.st_mode & 0o6000],
    "without_bytecode": [
        path for path in stats
        if path.endswith(".py") and "/site-packages/worker/" in path and importlib.util.cache_from_source(path) not in stats
    ],
    "files": sorted(stats),
    "user": [os.getuid(), os.getgid(), os.getgroups()],
    "root": sorted(os.listdir("/")),
}))
"""

FILES = """
import hashlib, json, os, sys

def content(path):
    if os.path.islink(path):
        return os.readlink(path)
    if os.path.isdir(path) or path.endswith(".pyc"):
        return ""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

paths = [os.path.join(folder, name) for folder, folders, files in os.walk(sys.argv[1]) for name in [*folders, *files]]
print(json.dumps({path: [os.lstat(path).st_mode, os.lstat(path).st_mtime, content(path)] for path in paths}))
"""


@pytest.fixture(scope="module")
def content(image: str) -> dict[str, Any]:
    """What a look from the inside, as the image's own user, finds."""
    found: dict[str, Any] = orjson.loads(docker("run", "--rm", "--network", "none", "--entrypoint", "python", image, "-c", LOOK, *BUILD_TOOLS))
    return found


@pytest.fixture(scope="module")
def configuration(image: str) -> dict[str, Any]:
    parts: dict[str, Any] = orjson.loads(docker("image", "inspect", "--format", "{{json .Config}}", image))
    return parts


def base_image() -> str:
    found = re.search(r"^FROM (\S+) AS base$", (ROOT / "docker/Dockerfile").read_text(), re.MULTILINE)
    assert found
    return found[1]


def size(image: str) -> int:
    return int(docker("image", "inspect", "--format", "{{.Size}}", image))


def test_it_adds_less_than_120_mb_to_its_base(image, capsys):
    added = size(image) - size(base_image())
    with capsys.disabled():
        print(f"\n  the image adds {added / 1e6:.1f} MB to {base_image()}")  # noqa: T201  a measured number is for reading
    assert 0 < added < LIMIT


def test_the_guide_names_the_size_within_a_tenth(image):
    told = re.search(r"The image adds (\d+) MB", (ROOT / "docs/operations/deploy.md").read_text())
    assert told
    assert size(image) - size(base_image()) == pytest.approx(int(told[1]) * 1e6, rel=0.1)


def test_no_build_tool_and_no_installer_is_left_in_it(content):
    assert (content["tools"], content["pip"]) == ([], [])


def test_it_holds_the_worker_and_what_is_locked_for_it_and_nothing_else(content):
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    there = {re.sub(r"[-_.]+", "-", name) for name in content["distributions"]}
    assert {"halo-worker", "aiohttp"} <= there
    assert there - {"halo-worker"} <= locked


def test_all_of_it_belongs_to_root_and_its_own_user_can_change_nothing(content):
    assert (content["foreign"], content["writable"], content["privileged"]) == ([], [], [])
    assert content["user"] == [10001, 10001, [10001]]


def test_nothing_has_to_be_compiled_when_it_starts(content):
    assert content["without_bytecode"] == []


def test_no_source_tree_no_tests_and_no_secret_came_along(content):
    assert {"source", "wheel", "builder", "routes", "docker", "tests"} & set(content["root"]) == set()
    unwanted = re.compile(r"/(tests|\.git|docker|secrets|\.env|id_rsa)(/|$)|\.(pem|key|lock|toml)$")
    ours = [path for path in content["files"] if "/site-packages/worker" in path or "/site-packages/halo_worker" in path]
    assert [path for path in ours if unwanted.search(path)] == []


def test_it_starts_without_a_shell_as_nobody_in_particular(configuration):
    assert configuration["User"] == "10001:10001"
    assert (configuration["Entrypoint"], configuration["Cmd"]) == (["halo-worker"], ["run"])
    assert configuration["Healthcheck"]["Test"][:2] == ["CMD", "python"]
    assert "/livez" in configuration["Healthcheck"]["Test"][-1]
    assert set(configuration["ExposedPorts"]) == {"8080/tcp", "8081/tcp"}
    assert not [variable for variable in configuration["Env"] if re.search(r"(?i)secret|password|token|key", variable)]


def test_it_tells_what_it_is(configuration, image):
    labels = configuration["Labels"]
    prefix = "org.opencontainers.image."
    assert {f"{prefix}{name}" for name in ("title", "description", "licenses", "version", "revision")} <= set(labels)
    assert docker("run", "--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", image, "version").startswith("halo-worker ")


@pytest.mark.timeout(600)
def test_the_same_input_makes_the_same_files_with_the_same_times(image):
    """Of bytecode only the names and times are compared: Python does not promise the same bytes for the same source."""
    built = []
    for number in range(2):
        name = f"{image}-again-{number}"
        docker("build", "--quiet", "--no-cache", "--file", "docker/Dockerfile", "--tag", name, ROOT)
        built.append(orjson.loads(docker("run", "--rm", "--network", "none", "--entrypoint", "python", name, "-c", FILES, "/venv")))
        docker("image", "rm", name)
    first, second = built
    assert len(first) > 1000
    assert {path for path in first.keys() | second.keys() if first.get(path) != second.get(path)} == set()
