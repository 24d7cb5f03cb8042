"""Sizes that take a test many minutes, which run only where `WORKER_TEST_LARGE` is set (`make large`)."""

from __future__ import annotations

import os
from typing import Any

import pytest


def large(*values: Any) -> list[Any]:
    """Parameters of a test at full size; none where they were not asked for."""
    return [pytest.param(*values, marks=[pytest.mark.long, pytest.mark.timeout(1800)], id="large")] if os.environ.get("WORKER_TEST_LARGE") else []
