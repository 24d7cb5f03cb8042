"""Many customers on one runbook: each call goes to its customer's own address with its customer's own secret, and a broken customer is nobody else's matter."""

from __future__ import annotations

import signal

from tests.tools.tenants import QUEUE, rmm_routes, tenants, write_tenants
from worker.core.topology import dead_queue
from worker.flows.running.run_message import run_queue

NAMES = [f"customer-{number:02}" for number in range(20)]
AWAY, WRONG, NEW = NAMES[3], NAMES[7], "customer-new"
DEAD = dead_queue(run_queue("rb"))


def others_in(tenant, known):
    """Of which other customers something stands in what this one received."""
    return [name for name in known if name != tenant.name and name in tenant.seen]


async def test_twenty_customers_get_their_own_and_a_new_row_is_served_after_a_reload(stage, other):
    async with tenants([*NAMES, NEW]) as known:
        write_tenants(stage.folder, [known[name] for name in NAMES])
        (stage.folder / "secrets" / "rmm" / f"{WRONG}.key").write_text("planted-secret-of-nobody")
        known[AWAY].statuses = [500, 500]
        worker = await stage.start(rmm_routes())
        for name in NAMES * 3:
            await other.send({"customer": name, "text": f"for {name}"}, QUEUE)
        await other.send({"customer": "customer-unknown-to-us", "text": "lost"}, QUEUE)

        letters = [await other.take(DEAD) for _ in range(4)]
        assert sorted(letter.headers["dead-class"] for letter in letters) == ["retries_exhausted"] * 3 + ["transform"]
        unknown = next(letter for letter in letters if letter.headers["dead-class"] == "transform")
        assert unknown.headers["dead-reason"] == "step 'alert': rmm.alert: the table `tenants` has no such row"
        refused = [letter.headers["dead-reason"] for letter in letters if letter is not unknown]
        assert all(f"customer {WRONG}: no token" in reason for reason in refused), "an operator looks for the row"
        await other.settles(QUEUE)
        await other.settles(run_queue("rb"))
        good = [name for name in NAMES if name not in {AWAY, WRONG}]
        assert {name: len(known[name].work) for name in good} == dict.fromkeys(good, 3)
        assert len(known[AWAY].work) == 5
        assert known[WRONG].work == []
        assert {call.path for call in known[NAMES[0]].work} == {f"/orgs/id-of-{NAMES[0]}/alerts"}
        assert {name: others_in(known[name], [*NAMES, NEW]) for name in NAMES} == {name: [] for name in NAMES}
        assert all(tenant.secret in tenant.seen for name, tenant in known.items() if name in good)

        write_tenants(stage.folder, [tenant for name, tenant in known.items() if name != WRONG])
        worker.signal(signal.SIGHUP)
        await worker.logged("routes.taken_over")
        assert [line["all_begin_again"] for line in worker.log("routes.changed")] == [False]
        for name in (NEW, NAMES[0], WRONG):
            await other.send({"customer": name, "text": "after the reload"}, QUEUE)
        assert (await other.take(DEAD)).headers["dead-class"] == "transform"
        await other.settles(QUEUE)
        await other.settles(run_queue("rb"))
        assert [call.body for call in known[NEW].work] == [{"text": "after the reload"}]
        assert len(known[NAMES[0]].calls) == 5, "one token and four calls: the token outlives the reload"
        text = worker.text()
        assert await worker.stop() == 0
        assert "planted-secret" not in text
        assert "planted-token" not in text
        assert "customer-unknown-to-us" not in text
