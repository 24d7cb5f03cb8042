"""Every kind of mistake in route files, and exactly what `check` prints about it: tests/routes_bad holds a broken file or directory beside each text."""

import shutil
from pathlib import Path

import pytest

from tests.tools.every import every
from worker.cli.check import check

CASES = Path(__file__).parents[2] / "routes_bad"
SECRET = "planted-Hunter2-of-the-test"
NAMES = sorted(path.stem for path in CASES.glob("*.txt"))


@pytest.fixture
def checked(tmp_path, capsys, monkeypatch):
    """Checks one case as a directory called `routes`; gives the exit code and what is printed to standard error."""
    monkeypatch.chdir(tmp_path)

    def run(name):
        shutil.rmtree("routes", ignore_errors=True)
        case = CASES / name
        if case.is_dir():
            shutil.copytree(case, "routes")
        else:
            Path("routes").mkdir()
            shutil.copy(CASES / f"{name}.yaml", "routes")
        code = check(Path("routes"), {"SECRET": SECRET}, Path("secrets"), as_json=False)
        printed = capsys.readouterr()
        assert printed.out == ""
        return code, printed.err

    return run


@every("name", NAMES)
def test_check_prints_exactly_this(checked, name):
    assert checked(name) == (2, (CASES / f"{name}.txt").read_text("utf-8"))


def test_every_broken_file_has_its_text():
    assert sorted({path.stem for path in CASES.iterdir() if path.suffix != ".txt"}) == NAMES


def test_no_text_holds_the_value_of_a_variable():
    assert [path.name for path in CASES.glob("*.txt") if SECRET in path.read_text("utf-8")] == []
