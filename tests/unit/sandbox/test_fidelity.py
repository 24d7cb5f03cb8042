"""The table of what is known of the real Halo: every fact is held by a test, a switch or a fault of the simulated one."""

import ast
import tomllib
from collections import Counter
from dataclasses import fields
from functools import cache
from pathlib import Path

from tests.tools.every import every
from worker.sandbox.faults import FaultKind
from worker.sandbox.settings import SandboxSettings

ROOT = Path(__file__).parents[3]
FACTS = tomllib.loads((Path(__file__).parent / "fidelity.toml").read_text())["fact"]
EVIDENCE = {"test", "switch", "fault", "left_out"}
SEEDED = {"seed", "tickets", "seeded_days"}
"""Settings that choose the seeded data, not a behaviour."""


@cache
def functions_of(path):
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@every("fact", FACTS, ids=lambda fact: fact["says"][:60])
def test_a_fact_names_tests_switches_and_faults_that_exist(fact):
    assert set(fact) - {"says"} <= EVIDENCE
    assert set(fact) & EVIDENCE, "nothing holds this fact"
    for test in fact.get("test", ()):
        path, _, name = test.partition("::")
        assert name in functions_of(path), test
    assert set(fact.get("switch", ())) <= {field.name for field in fields(SandboxSettings)}
    assert set(fact.get("fault", ())) <= {kind.value for kind in FaultKind}


def test_what_is_left_out_has_a_reason_and_nothing_else():
    for fact in FACTS:
        if "left_out" in fact:
            assert set(fact) == {"says", "left_out"}
            assert fact["left_out"].endswith(".")


def test_every_switch_belongs_to_a_fact():
    named = {switch for fact in FACTS for switch in fact.get("switch", ())}
    assert {field.name for field in fields(SandboxSettings)} - named == SEEDED


def test_no_fact_stands_there_twice():
    assert [says for says, number in Counter(fact["says"] for fact in FACTS).items() if number > 1] == []
