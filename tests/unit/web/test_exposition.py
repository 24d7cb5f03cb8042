"""The text of all metrics, put together metric by metric."""

from prometheus_client import generate_latest

from worker.metrics import Metrics
from worker.web.admin import exposition


async def test_metrics_are_told_as_the_library_tells_them():
    metrics = Metrics()
    metrics.messages.labels("erp", "done").inc()
    metrics.request_seconds.labels("main").observe(0.3)
    metrics.retry_in("erp", 60)
    metrics.broker_up.set(1)
    assert await exposition(metrics.registry) == generate_latest(metrics.registry)
