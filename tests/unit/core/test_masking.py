"""Masking takes personal data out of an example and leaves what a mapping needs."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.tools.every import every
from worker.core.masking import Masker


@every(
    ("name", "value", "masked"),
    [
        ("user_name", "Ada Lovelace", "Person 1"),
        ("firstname", "Ada", "Person 1"),
        ("requester", "ada", "Person 1"),
        ("client_name", "Acme", "Person 1"),
        ("emailaddress", "ada@acme.com", "person1@example.com"),
        ("anything", "ada.l+x@mail.acme.co.uk", "person1@example.com"),
        ("phonenumber", "020 7946 0958", "+15550000001"),
        ("phonenumber", 2079460958, 15550000001),
        ("anything", "+44 20 7946 0958", "+15550000001"),
        ("address1", "1 High Street", "Address 1"),
        ("details", "crash", "Text 1"),
        ("summary", "Printer on fire", "Text 1"),
        ("unknown", "Please call me back", "Text 1"),
        ("password", "hunter2", "***"),
        ("passwords", ["hunter2", "", None], ["***", "", None]),
        ("pwd", 1234, 0),
        ("pass", "hunter2", "***"),
        ("secret", {"value": "hunter2", "id": 5, "on": True}, {"value": "***", "id": 0, "on": True}),
        ("anything", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "***"),
        ("url", "https://x.example/?a=1&token=abc", "https://x.example/?a=1&token=***"),
        ("user", {"name": "Ada", "id": 5}, {"name": "Person 1", "id": 5}),
        ("contacts", [{"name": "Ada"}], [{"name": "Person 1"}]),
        ("link", "https://x.example/?to=ada@acme.com", "https://x.example/?to=person1@example.com"),
    ],
)
def test_personal_data_is_masked_by_the_name_of_its_member_and_by_its_look(name, value, masked):
    assert Masker().mask({name: value}) == {name: masked}


@every(
    ("name", "value"),
    [
        ("id", 12),
        ("serial", "SN-0001-AB"),
        ("customer_code", "ACME"),
        ("status_id", "3"),
        ("tickettype_name", "Incident"),
        ("bought", "31/12/2025"),
        ("at", "2025-12-31T10:00:00.123Z"),
        ("at", "2025-12-31 10:00"),
        ("hostname", "db1.acme.com"),
        ("mac", "00:1B:44:11:3A:B7"),
        ("ip", "10.0.0.1"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000"),
        ("price", 12.5),
        ("active", True),
        ("note", ""),
        ("note", None),
        ("name", "db1"),
        ("status", {"name": "New"}),
        ("compass", "north"),
    ],
)
def test_ids_codes_dates_and_numbers_stay(name, value):
    assert Masker().mask({name: value}) == {name: value}


def test_the_same_value_has_the_same_mask_everywhere_and_another_value_another():
    masked = Masker().mask({"user_name": "Ada Lovelace", "created": {"agent_name": "Ada Lovelace"}, "cc": ["a@b.c", "d@e.f", "a@b.c"], "owner": "Ben"})
    assert masked == {
        "user_name": "Person 1",
        "created": {"agent_name": "Person 1"},
        "cc": ["person1@example.com", "person2@example.com", "person1@example.com"],
        "owner": "Person 2",
    }


def test_a_name_of_a_member_that_is_an_address_is_masked_too():
    assert Masker().mask({"ada@acme.com": 1}) == {"person1@example.com": 1}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10))
def test_no_e_mail_address_is_left_and_the_shape_stays(value):
    masked = Masker().mask({"given": value, "text": "ada@acme.com", "nested": [{"ada@acme.com": "x ada@acme.com y"}]})
    assert "ada@acme.com" not in json.dumps(masked)
    assert Masker().mask(masked["nested"]) is not None
    assert type(masked["given"]) is type(value)


def test_a_code_that_the_route_files_hold_stays_and_the_same_name_elsewhere_is_masked():
    masker = Masker({"ACME"})
    assert masker.mask({"customer": "ACME", "company": "Globex", "password": "ACME"}) == {"customer": "ACME", "company": "Person 1", "password": "***"}
