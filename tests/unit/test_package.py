"""The package that is built holds everything that the commands need, and nothing else."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The contents of the wheel, as pip lays them out."""
    built, site = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("site")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", built], cwd=TOP, check=True, capture_output=True, timeout=100)
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def run(installed, *arguments, **environment):
    settings = {"PATH": "", "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"} | environment
    return subprocess.run([sys.executable, *arguments], cwd=installed, env=settings, capture_output=True, text=True, check=False, timeout=100)


def test_the_command_runs_from_the_package(installed):
    where = run(installed, "-c", "import worker; print(worker.__file__)")
    assert where.stdout == f"{installed / 'worker' / '__init__.py'}\n"
    done = run(installed, "-m", "worker", "version")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_carries_the_sample_routes_and_they_are_good(installed):
    packaged = installed / "worker" / "cli" / "sample_routes"
    assert sorted(path.name for path in packaged.iterdir()) == sorted(path.name for path in (TOP / "routes").iterdir())
    client = {"HALO_URL": "https://halo.example", "HALO_CLIENT_ID": "a", "HALO_CLIENT_SECRET": "b"}
    runbooks = {"COMPLETIONS_URL": "https://api.example", "COMPLETIONS_KEY": "c", "COMPLETIONS_HOST": "api.example"}
    runbooks |= {"ASK_SECRET": "d" * 16, "HOOK_SECRET": "e" * 16}
    done = run(installed, "-m", "worker", "check", str(packaged), **client, **runbooks)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_has_the_worker_and_its_own_description_only(installed):
    assert sorted(path.name.partition("-")[0] for path in installed.iterdir()) == ["halo_worker", "worker"]


def test_the_package_carries_the_status_page_with_its_templates_and_the_licence_of_htmx(installed):
    inside = Path("worker") / "web" / "page"
    files = {path.relative_to(TOP / inside) for path in (TOP / inside).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert {path.suffix for path in files} == {".py", ".html", ".css", ".js", ".svg", ".txt"}
    assert [path for path in files if not (installed / inside / path).is_file()] == []
