"""The page of the dead classes: each value of the header `dead-class` with what happened and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from docs.generator.markdown import code, page, table
from worker.core.outcome import DeadClass

INTRO = """The worker writes the class of a dead letter into the header `dead-class`, and the reason into `dead-reason`.
`halo-worker dead list ROUTE` counts letters by class. The guide [Dead letters](../guides/dead-letters.md) shows how to
read, replay and discard them."""
MEANINGS: Mapping[DeadClass, tuple[str, str]] = {
    DeadClass.DECODE: (
        "The message is not JSON, is too large or too deep, has too many headers, or lacks the shape of a publisher's message.",
        "Correct the sender, and discard the letter. Too large: raise `WORKER_MAX_MESSAGE` for the worker and for the command, then replay.",
    ),
    DeadClass.TRANSFORM: (
        "An expression failed or exceeded its limits, a member that must be there is missing, or a parameter has a value of the wrong type.",
        "Correct the route file, restart the worker, then replay.",
    ),
    DeadClass.REJECTED: (
        "Halo answered 4xx. `dead-status` has the status, `dead-reason` Halo's sentence. Of a subscriber: Halo does not give the details of a record.",
        "Correct the data or the route, then replay. Discard what Halo will never take.",
    ),
    DeadClass.AUTH: (
        "Halo answered 403, or 401 to a fresh token; of a subscriber, to the request for the details of a record.",
        "Give the application the scope, or the agent's role the permission, then replay.",
    ),
    DeadClass.IN_DOUBT: (
        "An attempt may have created the record, and the worker cannot look it up: the route has no `find`, or `find` matches two records.",
        "Look in Halo, then replay with `--as sent`, `--as not-sent` or `--as look`.",
    ),
    DeadClass.RETRIES_EXHAUSTED: (
        "Every attempt of `retry` failed, or for a record of a subscriber every attempt of four polls. `dead-reason` has the last reason.",
        "Remove the cause, then replay. The attempts begin again.",
    ),
    DeadClass.CRASHED: (
        "RabbitMQ delivered the message 20 times and no delivery ended. RabbitMQ dead-letters it, so it has no `dead-class` header; the commands show this class.",
        "Search the log for the message id. Replay a letter that only waited while workers died; discard one that ends the worker.",
    ),
    DeadClass.FAILED: (
        "A run of a runbook ended with `end: failed`, or a step failed without `on_failure`.",
        "Remove the cause, then replay: the run continues with the step that failed.",
    ),
}
HEADERS = """## Headers of a dead letter

| header | content |
| --- | --- |
| `dead-class` | the class, as above |
| `dead-reason` | the reason, in one sentence without customer data |
| `dead-status` | the HTTP status, where Halo answered |
| `dead-attempts` | the number of attempts |
| `dead-route` | the route |
| `dead-at` | the time, UTC |
| `dead-left-out` | what the worker left out because the letter had no room for it |
| `original-exchange`, `original-routing-key` | where the sender published the message |
| `replays` | how many times an operator replayed it |

The body is the message as it came. Headers of the sender stay. [Security](../security.md#headers-of-the-worker) says
which headers the worker trusts."""


def dead_classes_page() -> str:
    rows = [(code(each.value), *MEANINGS[each]) for each in DeadClass]
    return page("Dead classes", INTRO, table(("class", "what happened", "what to do"), rows), HEADERS)
