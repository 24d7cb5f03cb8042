"""Commands that name a customer: `call --customer`, `start --dry-run` and `doctor` say whose address and credentials they use, and show no secret."""

import orjson
import pytest

from tests.flows.doctor.test_doctor import checks
from tests.tools.commands import run_command
from tests.tools.process import write_routes
from tests.tools.tenants import rmm_routes, tenants, write_tenants
from worker.app.doctor.check import CheckVerdict

ACME, GLOBEX = "acme", "globex"


@pytest.fixture
async def known():
    async with tenants([ACME, GLOBEX]) as made:
        yield made


@pytest.fixture
def run(tmp_path, known):
    async def command(*arguments):
        write_tenants(tmp_path, known.values())
        ended = await run_command(tmp_path, *arguments, routes=write_routes(tmp_path, rmm_routes()))
        assert "planted-" not in ended.out + ended.err
        return ended

    return command


async def test_a_call_goes_to_the_customer_that_is_named(run, known):
    ended = await run("call", "rmm.devices", "--customer", GLOBEX, "--json")
    shown = orjson.loads(ended.out)
    assert (ended.code, shown["request"]) == (0, f"GET {known[GLOBEX].url}/devices (oauth2 ***) for customer {GLOBEX}")
    assert (len(known[GLOBEX].work), known[ACME].calls) == (1, [])


async def test_without_a_name_the_inputs_choose_as_variables_of_a_run_would(run, known):
    assert (await run("call", "rmm.devices", "--input", f"Customer={ACME}")).code == 0
    assert (len(known[ACME].work), known[GLOBEX].calls) == (1, [])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--customer", "globx"), "the table tenants has no row 'globx'; did you mean globex?"),
        (("--input", "Customer=globx"), "rmm.devices: the table `tenants` has no such row"),
        ((), "rmm.devices: `customers.row` yields no key, which is a text or a number"),
    ],
)
async def test_a_customer_that_is_no_row_is_refused_before_anything_is_sent(run, known, arguments, told):
    ended = await run("call", "rmm.devices", *arguments)
    assert (ended.code, told in ended.err) == (1, True), ended.err
    assert known[ACME].calls == known[GLOBEX].calls == []


async def test_a_dry_run_says_whose_request_it_holds_back(run, known):
    ended = await run("start", "rb", "--dry-run", "--input", f"Customer={ACME}", "--input", "Text=hello")
    assert f"POST {known[ACME].url}/orgs/id-of-{ACME}/alerts (customer {ACME})" in ended.out
    assert (ended.code, known[ACME].work, known[GLOBEX].calls) == (0, [], [])


async def test_check_counts_the_customers(run):
    assert "2 methods of 2 customers (table tenants): alert, devices" in (await run("check", "--json")).out


async def test_doctor_examines_each_customer_by_name(tmp_path, known):
    write_tenants(tmp_path, known.values())
    (tmp_path / "secrets" / "rmm").rename(tmp_path / "rmm")
    (tmp_path / "rmm" / f"{GLOBEX}.key").write_text("planted-secret-of-nobody")
    found = [check for check in await checks(tmp_path, rmm_routes()) if check.subject.startswith("integration rmm")]
    assert [(check.subject, check.name, check.verdict, check.result) for check in found if check.verdict is CheckVerdict.FAILED] == [
        (f"integration rmm ({GLOBEX})", "token", CheckVerdict.FAILED, found[0].result),
        ("integration rmm", "customers", CheckVerdict.FAILED, "1 of 2 customers failed"),
    ]
    assert len(found) == 2
    assert len(known[ACME].calls) == 1, "each customer is asked for its token"
    assert "planted-" not in str(found)
