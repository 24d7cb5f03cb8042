"""Integrations of many customers: one for each row of a table, checked as if each were written out, with mistakes told at the row."""

from __future__ import annotations

import pytest

from worker.core.errors import ConfigError

HEADER = "customer,url,client_id,secret"
ROWS = (HEADER, "ACME,acme.example.com,one,acme", "GLOBEX,globex.example.com,two,globex")
OAUTH2 = (
    "{type: oauth2, token_url: 'https://{{ $customer.url }}/token', client_id: '{{ $customer.client_id }}',"
    " client_secret: '${file:rmm/{{ $customer.secret }}}'}"
)
SECRET = "planted-secret-of"


@pytest.fixture
def rmm(load, tmp_path):
    """Loads an integration with these rows; `secrets` are the files in the folder `rmm`."""

    def run(*rows, auth=OAUTH2, base_url="https://{{ $customer.url }}/v1", row="<<Customer>>", more="", methods="", secrets=None, tables="tenants.csv"):
        (tmp_path / "secrets" / "rmm").mkdir(parents=True, exist_ok=True)
        for name, content in ({"acme": f"{SECRET}-acme", "globex": f"{SECRET}-globex"} if secrets is None else secrets).items():
            (tmp_path / "secrets" / "rmm" / name).write_text(content)
        (tmp_path / "secrets" / "halo_secret").write_text("the-secret-of-another-system")
        (tmp_path / "routes").mkdir(exist_ok=True)
        (tmp_path / "routes" / "tenants.csv").write_text("\n".join(rows or ROWS))
        text = f"""
tables: {{tenants: {tables}}}
integrations:
  rmm:
    customers: {{table: tenants, row: "{row}"}}
    base_url: "{base_url}"
    auth: {auth}
    {more or "trace_context: true"}
    methods:
      devices: {{method: GET, path: "/devices"}}
{methods}
"""
        return load(text, client=False, secrets=tmp_path / "secrets").integrations["rmm"]

    return run


def mistakes(run, *rows, **more):
    with pytest.raises(ConfigError) as wrong:
        run(*rows, **more)
    return [str(problem) for problem in wrong.value.problems]


def test_each_row_is_an_integration_with_its_own_address_and_secret(rmm):
    made = rmm()
    rows = made.customers.rows
    assert {key: (each.base_url, each.auth.token_url, each.auth.client_id, each.auth.client_secret) for key, each in rows.items()} == {
        "ACME": ("https://acme.example.com/v1", "https://acme.example.com/token", "one", f"{SECRET}-acme"),
        "GLOBEX": ("https://globex.example.com/v1", "https://globex.example.com/token", "two", f"{SECRET}-globex"),
    }
    assert [each.title for each in made.each] == ["rmm (ACME)", "rmm (GLOBEX)"]
    assert rows["ACME"].methods["devices"] is rows["GLOBEX"].methods["devices"]
    assert rows["ACME"].values == {"customer": "ACME", "url": "acme.example.com", "client_id": "one", "secret": "acme"}
    assert SECRET not in repr(made)


def test_the_secrets_of_all_rows_are_masked(load, rmm, tmp_path):
    rmm()
    routes = load(client=False, secrets=tmp_path / "secrets")
    assert routes.secrets.hide(f"{SECRET}-acme and {SECRET}-globex") == "*** and ***"


def test_two_rows_may_have_one_address(rmm):
    assert len(rmm(HEADER, "A,one.example.com,1,acme", "B,one.example.com,2,globex").customers.rows) == 2


def test_a_table_in_the_route_file_serves_too(rmm):
    made = rmm(tables="{ACME: {url: acme.example.com, client_id: 7, secret: acme}}")
    assert made.customers.rows["ACME"].auth.client_id == "7"


def test_a_login_has_the_credentials_of_the_row(rmm):
    login = "      login: {method: POST, path: /login, body: {user: '{{ $customer.client_id }}', password: '${file:rmm/{{ $customer.secret }}}'}}"
    made = rmm(auth="{type: login, method: login, token: 'response^token!'}", methods=login)
    acme, globex = made.customers.rows["ACME"], made.customers.rows["GLOBEX"]
    assert acme.methods["login"] is not globex.methods["login"]
    assert acme.own(made.methods["login"]) is acme.methods["login"]
    assert acme.own(made.methods["devices"]) is made.methods["devices"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (
            "ACME,10.0.0.5,1,acme",
            "the column `url` of this row makes `integrations.rmm.base_url` wrong: `base_url` leads to `10.0.0.5`, which is not on the public",
        ),
        ("ACME,acme.example.com/x?y,1,acme", "the column `url` of this row makes `integrations.rmm.base_url` wrong: `base_url` must not hold a query"),
        ("ACME,user:pw@acme.example.com,1,acme", "`base_url` must not hold a user name or password"),
        ("ACME,https://acme.example.com,1,acme", "`base_url` begins with a scheme twice"),
        ("ACME,127.1,1,acme", "`base_url` has an ambiguous host"),
        ("ACME,acme .example.com,1,acme", "`base_url` has a host that is no name"),
        ("ACME,acme..example.com,1,acme", "`base_url` has a host that is no name"),
        ("ACME,,1,acme", "the column `url` holds no text or number in this row"),
        ("ACME,acme.example.com,1,nobody", "the column `secret` of this row: there is no secret `rmm/nobody` in "),
        ("ACME,acme.example.com,1,short", "the column `secret` of this row: the secret has fewer than 8 characters, so it could not be masked in logs"),
        ("ACME,acme.example.com,1,../halo_secret", "the column `secret` of this row is not the name of one file in `rmm/`"),
        ("ACME,acme.example.com,1,deeper/acme", "the column `secret` of this row is not the name of one file in `rmm/`"),
        ("ACME,acme.example.com,${HOME},acme", "the column `client_id` holds a brace, `<`, `>` or a control character in this row"),
        ("ACME,{{ $now() }},1,acme", "the column `url` holds a brace, `<`, `>` or a control character in this row"),
    ],
)
def test_a_wrong_row_is_told_by_its_line_and_its_column(rmm, row, expected):
    secrets = {"globex": f"{SECRET}-globex", "acme": f"{SECRET}-acme", "short": "1234567"}
    found = mistakes(rmm, HEADER, "GLOBEX,globex.example.com,2,globex", row, secrets=secrets)
    assert len([problem for problem in found if problem.startswith("routes/tenants.csv:3: ")]) == len(found)
    assert any(expected in problem for problem in found), found
    assert SECRET not in str(found)


def test_all_wrong_rows_are_told_at_once_and_nothing_else_is(rmm):
    found = mistakes(rmm, HEADER, "A,10.0.0.5,1,acme", "B,b.example.com,1,nobody", "C,c.example.com,,acme")
    assert [problem.partition(": ")[0] for problem in found] == ["routes/tenants.csv:2", "routes/tenants.csv:2", "routes/tenants.csv:3", "routes/tenants.csv:4"]


def test_a_wrong_address_is_told_although_the_secret_of_its_row_is_not_there_yet(rmm):
    found = mistakes(rmm, HEADER, "A,10.0.0.5,1,nobody", "B,b.example.com,1,acme")
    assert {problem.partition(": ")[0] for problem in found} == {"routes/tenants.csv:2"}
    assert "there is no secret `rmm/nobody`" in found[0]
    assert "`base_url` leads to `10.0.0.5`" in str(found)


@pytest.mark.parametrize("twin", ["acme", "Acme", "AC ME", "\uff21CME", "AC\u200bME", "ACME\u00ad"])
def test_keys_that_people_take_for_one_are_refused(rmm, twin):
    found = mistakes(rmm, *ROWS, f"{twin},x.example.com,3,acme")
    assert found == ["routes/tenants.csv:4: the key of this row differs from the key in line 2 only by case or space"]


def test_the_same_key_twice_is_refused(rmm):
    assert mistakes(rmm, *ROWS, "ACME,x.example.com,3,acme") == ["routes/tenants.csv:4: the key of this row is in line 2 already"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"base_url": "https://{{ $customer.ulr }}"}, "the table `tenants` has no column `ulr`; did you mean url?"),
        ({"base_url": "https://{{ Customer }}.example.com"}, "only `{{ $customer.column }}` may stand in braces here"),
        ({"base_url": "https://{{ $customer.url & '.com' }}"}, "only `{{ $customer.column }}` may stand in braces here"),
        ({"auth": "{type: bearer, token: '{{ $customer.secret }}'}"}, "a table holds no secrets: let it hold the name of a file, and write `${file:folder/"),
        ({"auth": "{type: bearer, token: '${file:{{ $customer.secret }}}'}"}, "a row names a secret in a folder that the route file names"),
        ({"auth": "{type: bearer, token: '${file:../{{ $customer.secret }}}'}"}, "a row names a secret in a folder that the route file names"),
        ({"auth": "{type: bearer, token: '${RMM_{{ $customer.secret }}}'}"}, "a row names a secret in a folder that the route file names"),
        ({"row": "{{ $table('tenants', Customer) }}"}, "`$table` may yield another customer when the step is tried again"),
        ({"row": "{{ $random() }}"}, "`$random` may yield another customer when the step is tried again"),
        ({"row": "x-<<Customer>>"}, "`row` must be one variable or one expression"),
        ({"more": "customer: x"}, "unknown key `customer`; did you mean customers?"),
    ],
)
def test_a_wrong_definition_is_told_at_its_place_once(rmm, more, expected):
    found = mistakes(rmm, **more)
    assert len(found) == 1, found
    assert expected in found[0]
    assert found[0].startswith("routes/main.yaml:")


def test_a_table_that_is_not_there_is_told_with_the_others(load):
    integration = "{customers: {table: tenant, row: '<<C>>'}, base_url: 'https://{{ $customer.url }}', methods: {a: {method: GET, path: /}}}"
    found = mistakes(load, f"tables: {{tenants: {{A: {{url: a.example}}}}}}\nintegrations:\n  rmm: {integration}\n")
    assert [problem.partition(": ")[2] for problem in found] == ["there is no table `tenant`; did you mean tenants?"]


@pytest.mark.parametrize(
    ("cells", "first"),
    [("10.0.0.{},1,acme", "leads to `10.0.0.0`"), ("a.example.com,1,absent{}", "there is no secret `rmm/absent0`")],
    ids=["address", "secret"],
)
def test_a_mistake_that_all_rows_share_is_told_for_the_first_ones_and_counted(rmm, cells, first):
    found = mistakes(rmm, HEADER, *(f"C{number},{cells.format(number)}" for number in range(20)))
    assert first in found[0]
    assert len(found) == 6
    assert found[5].split(": ", 1)[1].startswith("this row has a mistake too; rows of this table have ")


def test_the_token_of_a_client_of_halo_is_for_no_table(load):
    integration = "{customers: {table: t, row: '<<C>>'}, base_url: 'https://acme.haloitsm.com/api', auth: {type: halo, client: main}, methods: {a: {method: GET, path: /}}}"
    found = mistakes(load, f"tables: {{t: {{A: {{url: a.example}}}}}}\nintegrations:\n  rmm: {integration}\n")
    assert "`halo` takes the token of a client: write a client for each Halo, and no `customers`" in found[0]


def test_a_runbook_has_to_set_the_variable_that_names_the_customer(load, rmm):
    book = "\nrunbooks: {book: {start: {queue: q}, input: {Other: 'request^other'}, first: a, steps: {a: {method: rmm.devices}}}}"
    (found,) = mistakes(rmm, more="trace_context: false", methods=book)
    assert "rmm.devices uses `<<Customer>>`, which no input and no earlier step sets" in found


@pytest.mark.parametrize(("concurrency", "warned"), [(2, True), (3, False)])
def test_a_runbook_whose_places_one_customer_could_hold_is_warned_of(rmm, load, tmp_path, concurrency, warned):
    rmm(
        methods="\nrunbooks: {book: {start: {queue: q}, input: {Customer: 'request^c'}, first: a, steps: {a: {method: rmm.devices}},"
        f" concurrency: {concurrency}}}}}"
    )
    warnings = [str(warning) for warning in load(client=False, secrets=tmp_path / "secrets").warnings]
    assert [("may hold all 2 places of this runbook" in warning) for warning in warnings] == [True] * warned


def test_methods_see_the_row_and_other_integrations_have_none(load, rmm):
    assert rmm(methods="      one: {method: GET, path: '/orgs/{{ $customer.client_id }}'}").methods["one"].path
    with pytest.raises(ConfigError, match=r"`\$customer` is never bound, so it yields nothing: `\$customer` is the row of the customer"):
        load("integrations: {a: {base_url: 'https://a.example', methods: {a: {method: GET, path: '/{{ $customer.id }}'}}}}\n")
