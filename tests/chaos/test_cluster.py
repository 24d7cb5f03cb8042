"""A short round of faults of a cluster's nodes, and a short one of reloads."""

from __future__ import annotations

import pytest

from tests.chaos import cluster, reloads
from tests.tools.rabbitmq_cluster import rabbitmq_cluster


def test_a_seed_makes_the_same_faults_again_and_every_kind_comes():
    assert cluster.faults(7, 50) == cluster.faults(7, 50)
    assert {fault.kind for fault in cluster.faults(7, 50)} == set(cluster.KINDS)
    assert {fault.node for fault in cluster.faults(7, 50)} == {0, 1, 2}


def test_the_time_without_a_node_is_read_from_the_log():
    log = "\n".join(
        f'{{"event": "{event}", "timestamp": "2026-01-01T00:00:{second:02}+00:00"}}'
        for event, second in (("broker.attached", 1), ("broker.lost", 5), ("broker.lost", 6), ("broker.attached", 8), ("broker.attached", 9))
    )
    assert list(cluster.absences(f"not a line of ours\n{log}")) == [3.0]


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_faults_of_nodes_lose_nothing_and_double_nothing(tmp_path):
    told: list[str] = []
    with rabbitmq_cluster() as (broker, nodes):
        verdict = await cluster.cluster_faults(broker, nodes, tmp_path, 3, 4, 60, 2, told.append)
    assert verdict.good, "\n".join([*told, str(verdict.tally), *verdict.broken])
    assert verdict.tally.accepted == verdict.tally.done + verdict.tally.parked > 50


@pytest.mark.long
async def test_reloads_under_load_lose_nothing_and_double_nothing(rabbitmq, tmp_path):
    told: list[str] = []
    verdict = await reloads.reloads(rabbitmq, tmp_path, 3, 4, told.append, quiet=1.0)
    assert verdict.good, "\n".join([*told, str(verdict.tally), *verdict.broken])
    assert any(line.startswith("with reloads") for line in told)
