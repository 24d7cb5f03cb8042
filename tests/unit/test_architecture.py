"""The house rules that a machine can watch: imports go one way, files and functions are small, failures are caught where they are understood."""

import ast
import re
import statistics
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

TOP = Path(__file__).parents[2]
MODULES = sorted((TOP / "worker").rglob("*.py"))
LONGEST_FILE = 300
LONGEST_FUNCTION = 45
CATCH_ALL = {
    "worker/broker/rabbitmq/failures.py": "a library raises a bare `Exception` for a lost connection: that one is named, everything else goes on",
    "worker/cli/main.py": "the command line: a sentence instead of a traceback",
    "worker/flows/consuming/runner.py": "one message: it is settled whatever its handler did",
    "worker/flows/polling/subscriber.py": "one turn: the baton goes on whatever the poll did",
}
LOCKED = re.compile(r"^([\w.-]+)==([^ ;]+)", re.MULTILINE)


@cache
def trees() -> dict[str, ast.Module]:
    return {path.relative_to(TOP).as_posix(): ast.parse(path.read_text("utf-8")) for path in MODULES}


@cache
def nodes() -> list[tuple[str, ast.AST]]:
    """All of all modules: to walk takes most of the time of what looks at them."""
    return [(path, node) for path, tree in trees().items() for node in ast.walk(tree)]


def lengths() -> dict[str, int]:
    return {path.relative_to(TOP).as_posix(): len(path.read_text("utf-8").splitlines()) for path in MODULES}


def test_imports_go_only_downwards():
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"  # in this process it would silence all loggers
    done = subprocess.run([sys.executable, "-c", program], cwd=TOP, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout


def test_every_module_says_at_its_top_what_it_is():
    sentences = {path: (ast.get_docstring(tree) or "").split("\n\n")[0] for path, tree in trees().items()}
    assert [path for path, sentence in sentences.items() if not sentence.endswith((".", ":"))] == []


def test_no_module_is_longer_than_can_be_read_at_once():
    assert {path: length for path, length in lengths().items() if length > LONGEST_FILE} == {}


def test_most_modules_are_short():
    assert statistics.median(lengths().values()) < 100


def test_no_function_is_longer_than_a_screen():
    functions = [(path, node) for path, node in nodes() if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert [f"{path}:{node.lineno} {node.name}" for path, node in functions if node.end_lineno - node.lineno >= LONGEST_FUNCTION] == []


def test_everything_is_caught_only_at_the_named_outermost_places():
    def catches_all(node):
        names = {part.id for part in ast.walk(node.type) if isinstance(part, ast.Name)} if node.type else {"Exception"}
        return bool(names & {"Exception", "BaseException"})

    handlers = [(path, node) for path, node in nodes() if isinstance(node, ast.ExceptHandler)]
    assert [f"{path}:{node.lineno}" for path, node in handlers if catches_all(node) and path not in CATCH_ALL] == []
    assert len(CATCH_ALL) <= 4


def test_the_expression_engine_meets_data_only_in_the_evaluators_own_process():
    speaking = {path for path, node in nodes() if "jsonatapy" in imported(node)}
    assert speaking == {"worker/config/expression_literals.py", "worker/config/syntax.py", "worker/evaluator/jsonata.py"}
    used = [
        node.attr for node in ast.walk(trees()["worker/config/syntax.py"]) if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "jsonatapy"
    ]
    assert set(used) == {"compile"}, "a text is only parsed here: what it yields is found out by the evaluator"
    importing = {path for path, node in nodes() if "worker.evaluator.jsonata" in imported(node)}
    assert importing == {"worker/evaluator/child.py"}
    starting = {path for path, node in nodes() if "worker.evaluator.child" in imported(node)}
    assert starting == set(), "it is run by itself"


def imported(node):
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return set()


def test_only_the_command_line_prints():
    calls = [(path, node) for path, node in nodes() if "/cli/" not in path and isinstance(node, ast.Call)]
    assert [f"{path}:{node.lineno}" for path, node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"] == []


def locked(name):
    return dict(LOCKED.findall((TOP / name).read_text("utf-8")))


def test_both_lock_files_hold_the_same_versions():
    assert locked("requirements.lock").items() <= locked("requirements-dev.lock").items()


def test_every_dependency_is_locked_in_a_version_that_the_project_allows():
    project = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))
    groups = project["dependency-groups"]
    dev = [name for name in groups["dev"] if isinstance(name, str)]  # what it includes is locked by itself
    for names, lock in (
        (project["project"]["dependencies"], "requirements.lock"),
        (dev, "requirements-dev.lock"),
        (groups["build"], "requirements-build.lock"),
    ):
        versions = {name.replace(".", "-").lower(): version for name, version in locked(lock).items()}
        for requirement in map(Requirement, names):
            assert versions[requirement.name.replace(".", "-").lower()] in requirement.specifier, requirement


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock", "requirements-build.lock"])
def test_every_locked_package_has_hashes_and_no_address(name):
    text = (TOP / name).read_text("utf-8")
    assert "://" not in text
    assert len(re.findall(r"^[\w.-]+==[^\n]+ \\\n    --hash=sha256:", text, re.MULTILINE)) == len(LOCKED.findall(text)) > 5


TIME_AND_CHANCE = re.compile(r"\b(uuid4\(|random\.\w+\(|secrets\.\w+\(|token_(bytes|hex)\(|time\.(time|monotonic)\b|datetime\.now\()")
THEIR_PORTS = {
    "worker/core/clock.py": "the port of time",
    "worker/core/entropy.py": "the port of chance",
    "worker/evaluator/child.py": "another process: its own time is what is limited",
    "worker/evaluator/jsonata.py": "another process, and the language's own random",
    "worker/halo/outcome.py": "a date of Halo without a Date header beside it can only be compared with the machine's",
    "worker/broker/memory/entry.py": "stands for the broker's own clock",
    "worker/web/peers.py": "a default that tests replace",
    "worker/web/authentication.py": "padding that no caller can guess, made once",
}


def test_time_and_chance_come_through_their_ports():
    """The command line and the simulated Halo are not the worker: they have the machine's."""
    using = {path for path in lengths() if TIME_AND_CHANCE.search((TOP / path).read_text("utf-8"))}
    assert {path for path in using if not path.startswith(("worker/cli/", "worker/sandbox/"))} == set(THEIR_PORTS)
