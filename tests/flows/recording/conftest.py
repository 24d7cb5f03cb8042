"""The stage of the main job, with a recorder between it and Halo."""

from __future__ import annotations

from tests.flows.job.conftest import halos, memory_job, soon_again  # noqa: F401 - fixtures
