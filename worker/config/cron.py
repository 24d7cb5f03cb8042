"""Cron expressions in route files: five fields, in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator

from worker.config.definition import mistake

CRON_FIELDS = 5


def cron(value: str) -> str:
    """A cron expression of five fields."""
    if len(value.split()) != CRON_FIELDS:
        raise mistake('must be five fields, such as "*/5 * * * *"')
    try:
        CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise mistake(f"is not a cron expression: {str(error).lower()}") from None
    return value


Cron = Annotated[str, AfterValidator(cron)]
